import { describeWafAttacks } from '../support/waf-attacks.ts'

describeWafAttacks('cross-site scripting', 'xss', [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '<svg/onload=alert(document.cookie)>',
  'javascript:alert(1)//<a href=javascript:alert(1)>',
])
