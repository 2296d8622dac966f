"""What autoplay-sdk's own WebhookReceiver says to signed bodies.

Reads a line of JSON for each case, {"secret", "body" (hexadecimal), "signature"}, and answers each with
"true" or "false".
"""

import json
import sys

from autoplay_sdk.webhook_receiver import WebhookReceiver

for line in sys.stdin:
    case = json.loads(line)
    receiver = WebhookReceiver(secret=case["secret"])
    try:
        fits = receiver.verify(bytes.fromhex(case["body"]), case["signature"])
    except TypeError:
        # Its comparison refuses signatures that aren't ASCII.
        fits = False
    print(json.dumps(fits))
