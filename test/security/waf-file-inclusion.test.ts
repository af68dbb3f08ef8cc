import { describeWafAttacks } from '../support/waf-attacks.ts'

describeWafAttacks('reading files of the server', 'lfi', [
  '../../../../etc/passwd',
  '..\\..\\..\\windows\\win.ini',
  '/etc/shadow',
  '....//....//....//etc/passwd',
])
