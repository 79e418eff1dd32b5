// Prints a link into a meeting: JITSI_SECRET=… go run . meet.example.org standup Ann
package main

import (
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// QueryEscape escapes more than browsers do
var asBrowsers = strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*")

// roomClaim is the name as Jitsi's client writes it into the address of the room.
func roomClaim(name string) string {
	plain := cases.Lower(language.Und).String(norm.NFKC.String(name))
	return strings.ToLower(asBrowsers.Replace(url.QueryEscape(plain)))
}

func link(secret, domain, room, person string) (string, error) {
	now := time.Now()
	// MapClaims, as RegisteredClaims would write the audience as a list
	claims := jwt.MapClaims{
		"iss":  "vestibule", // jitsi_token_issuer
		"aud":  "jitsi",     // jitsi_token_audience
		"sub":  domain,      // the tenant for rooms under /tenant/
		"room": roomClaim(room),
		"iat":  now.Unix(),
		"exp":  now.Add(time.Hour).Unix(), // jitsi_token_max_lifetime bounds it
		"context": map[string]any{
			"user": map[string]any{"name": person, "affiliation": "owner"},
		},
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("https://%s/%s?jwt=%s", domain, url.PathEscape(room), token), nil
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("Say the domain, the room and the name of the person.")
	}
	address, err := link(os.Getenv("JITSI_SECRET"), os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(address)
}
