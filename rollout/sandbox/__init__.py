"""The embedded gateway: a real HTTP server with state, faults and background users.

It speaks the calls of GATEWAY_API.md, "As documented", and is the reference by which people understand that API.
From the ground up: `reading`, `files`, `refusal`, `providers`, `faults`, `settings`, `envfile` < `state`, `metrics`,
`alerts`, `audit`, `log` < `gateway` < `api`, `control`, `traffic` < `server` < `process`, `command`.
Only `api`, `control` and `server` load Starlette and uvicorn.
"""
