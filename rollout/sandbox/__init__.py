"""The embedded gateway: a real HTTP server with state, faults and background users.

It speaks the calls of docs/GATEWAY_API.md, "The calls", and is the reference by which people understand that API.
What real gateways do otherwise is in `deviations`, to be switched on.
From the ground up: `reading`, `files`, `refusal`, `providers`, `deviations`, `faults`, `settings`, `envfile` < `state`,
`metrics`, `alerts`, `audit`, `log` < `connections` < `gateway` < `asked`, `answered`, `elsewhere`, `api`, `control`,
`traffic`, `process` < `server`, `service` < `command`.
Only `asked`, `answered`, `elsewhere`, `api`, `control` and `server` load Starlette and uvicorn.
"""
