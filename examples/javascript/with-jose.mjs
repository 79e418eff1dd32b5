// Prints a link into a meeting: JITSI_SECRET=… node with-jose.mjs meet.example.org standup Ann
// Needs jose.
import { SignJWT } from "jose";

// The name as Jitsi's client writes it into the address of the room
function roomClaim(name) {
  return encodeURIComponent(name.normalize("NFKC").toLowerCase()).toLowerCase();
}

const [domain, room, person] = process.argv.slice(2);
const token = await new SignJWT({
  room: roomClaim(room),
  context: { user: { name: person, affiliation: "owner" } },
})
  .setProtectedHeader({ alg: "HS256", typ: "JWT" })
  .setIssuer("vestibule") // jitsi_token_issuer
  .setAudience("jitsi") // jitsi_token_audience, as a text
  .setSubject(domain) // the tenant for rooms under /tenant/
  .setIssuedAt()
  .setExpirationTime("1h") // jitsi_token_max_lifetime bounds it
  .sign(new TextEncoder().encode(process.env.JITSI_SECRET));
console.log(`https://${domain}/${encodeURIComponent(room)}?jwt=${token}`);
