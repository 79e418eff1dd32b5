-- Stand-in (test double) for Jitsi's mod_auth_jitsi-anonymous: not Jitsi's code.
-- Lets everybody in under a random name. A session that goes on with a live one keeps its token, unread:
-- the same weakness as upstream.
local anonymous = module:require "anonymous";

module:depends("jitsi_session");

anonymous.provide(function (session, handler, name)
	local resumed = anonymous.resumed_username(session);
	if resumed == nil then
		session.auth_token = nil;
	end
	if session.previd == nil then
		handler.username = name;
	else
		handler.username = resumed;
	end
	return true;
end);
