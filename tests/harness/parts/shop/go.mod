// The back end and the front end of the stack. `go tool` finds them; tests/harness/parts.py builds them.
module kintsugi.test/shop

go 1.24.4

tool kintsugi.test/shop/shop

require (
	github.com/gomodule/redigo v1.9.2
	github.com/jackc/pgx/v5 v5.7.5
)

require (
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	golang.org/x/crypto v0.37.0 // indirect
	golang.org/x/text v0.24.0 // indirect
)
