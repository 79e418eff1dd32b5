module example.org/link

go 1.18

require (
	github.com/golang-jwt/jwt/v5 v5.2.2
	golang.org/x/text v0.14.0
)
