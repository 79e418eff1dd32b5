-- Keeps tokens and other people's identities off the VirtualHost of the guests.
--
-- Whatever a client puts into `?token=`, jitsi_session writes it unverified into the session, and
-- several modules take a session with a token for a host of the meeting. jitsi-anonymous removes it
-- only from sessions that do not resume, and whoever names a live session in `?previd=` resumes.
-- So a guest is nobody: no token, nothing that a token says, no former or chosen name.
--
-- Goes on the VirtualHost of the guests, and on those of machines that come in through the web server.
-- No options.
local FIELDS = { "auth_token", "previd", "customusername", "contextRequired" };
local PREFIXES = { "^jitsi_meet_", "^granted_jitsi_meet_", "^token_guard_" };

local function forget(session)
	for _, name in ipairs(FIELDS) do
		session[name] = nil;
	end
	for name in pairs(session) do
		for _, prefix in ipairs(PREFIXES) do
			if type(name) == "string" and name:find(prefix) then
				session[name] = nil; -- removing the present key while iterating is allowed
			end
		end
	end
end

-- Before mod_saslauth and jitsi-anonymous, which look at them
module:hook("stanza/urn:ietf:params:xml:ns:xmpp-sasl:auth", function (event)
	forget(event.origin);
end, 10000);

-- And after all that happens between the two
module:hook("resource-bind", function (event)
	forget(event.session);
end, 10000);
