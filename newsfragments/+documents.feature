`/api/v2/openapi.json`, `/api/v2/asyncapi.json` and a page at `/docs` that shows both.
