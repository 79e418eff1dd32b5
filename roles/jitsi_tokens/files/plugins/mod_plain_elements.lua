-- Elements that are no stanzas are for the server that the stream was opened to, as is all that comes
-- before a login.
--
-- Prosody goes by their `to` all the same (RFC 6120 gives them none). `<auth to='guest…'/>` on a stream
-- to the host of machines was answered by the host of guests, and the session was a machine's: no
-- password, no token, past lobby and password of every meeting. `<enable/>` and `<resume/>` of stream
-- management went by the same way past those who look at them.
--
-- Goes on the VirtualHost with the tokens, for the sessions of all hosts. No options.
local filters = require "util.filters";

local XMLNS_CLIENT = "jabber:client";

local function check(stanza, session)
	if session.type ~= "c2s" or (stanza.attr.xmlns or XMLNS_CLIENT) ~= XMLNS_CLIENT then
		stanza.attr.to = nil;
	end
	return stanza;
end

-- Before all others, which may answer by what it says
local function watch(session)
	if session.type == "c2s" or session.type == "c2s_unauthed" then
		filters.add_filter(session, "stanzas/in", check, 2000);
	end
end

function module.load()
	filters.add_filter_hook(watch);
end

function module.unload()
	filters.remove_filter_hook(watch);
end
