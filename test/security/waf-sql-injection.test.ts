import { describeWafAttacks } from '../support/waf-attacks.ts'

describeWafAttacks('SQL injection', 'sqli', [
  "1' or '1'='1' -- ",
  '1 union select username, password from users',
  '1; drop table users--',
  "1' and sleep(10)-- ",
  "admin' or 1=1#",
])
