// Prints a link into a meeting: JITSI_SECRET=… node with-jsonwebtoken.mjs meet.example.org standup Ann
// Needs jsonwebtoken.
import jwt from "jsonwebtoken";

// The name as Jitsi's client writes it into the address of the room
function roomClaim(name) {
  return encodeURIComponent(name.normalize("NFKC").toLowerCase()).toLowerCase();
}

const [domain, room, person] = process.argv.slice(2);
const token = jwt.sign(
  {
    room: roomClaim(room),
    context: { user: { name: person, affiliation: "owner" } },
  },
  process.env.JITSI_SECRET,
  {
    algorithm: "HS256",
    issuer: "vestibule", // jitsi_token_issuer
    audience: "jitsi", // jitsi_token_audience, as a text
    subject: domain, // the tenant for rooms under /tenant/
    expiresIn: "1h", // jitsi_token_max_lifetime bounds it
  },
);
console.log(`https://${domain}/${encodeURIComponent(room)}?jwt=${token}`);
