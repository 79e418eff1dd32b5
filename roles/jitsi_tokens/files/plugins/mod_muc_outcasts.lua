-- Who is banned from a room stays out of it.
--
-- The MUC refuses outcasts last (-10), and token_affiliation makes owners or members of them before.
--
-- Goes on the MUC component of the meetings. No options.
local st = require "util.stanza";

module:hook("muc-occupant-pre-join", function (event)
	local stanza = event.stanza;
	if event.room:get_affiliation(stanza.attr.from) == "outcast" then
		event.origin.send(st.error_reply(stanza, "auth", "forbidden", "You are banned from this room"));
		return true;
	end
end, 50);
