<?php
// Prints a link into a meeting: JITSI_SECRET=… php link.php meet.example.org standup Ann
// Needs firebase/php-jwt, and the extensions intl and mbstring.

declare(strict_types=1);

require __DIR__ . '/vendor/autoload.php';

use Firebase\JWT\JWT;

const LIFETIME = 3600; // seconds; jitsi_token_max_lifetime bounds it

/** The name as Jitsi's client writes it into the address of the room. */
function room_claim(string $name): string
{
    $plain = mb_strtolower(Normalizer::normalize($name, Normalizer::FORM_KC), 'UTF-8');
    $as_browsers = ['%21' => '!', '%27' => "'", '%28' => '(', '%29' => ')', '%2A' => '*'];
    return strtolower(strtr(rawurlencode($plain), $as_browsers));
}

[, $domain, $room, $person] = $argv;
$now = time();
$token = JWT::encode([
    'iss' => 'vestibule', // jitsi_token_issuer
    'aud' => 'jitsi', // jitsi_token_audience
    'sub' => $domain, // the tenant for rooms under /tenant/
    'room' => room_claim($room),
    'iat' => $now,
    'exp' => $now + LIFETIME,
    'context' => ['user' => ['name' => $person, 'affiliation' => 'owner']],
], getenv('JITSI_SECRET'), 'HS256');
echo "https://$domain/", rawurlencode($room), "?jwt=$token\n";
