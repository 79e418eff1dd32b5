-- Whom a token makes an owner, the same as in upstream's mod_token_affiliation:
-- context.user.affiliation is owner, moderator or teacher, or context.user.moderator is true.
--
-- Use: local is_token_owner = module:require "token_owner";
local NAMES = { owner = true, moderator = true, teacher = true };

-- True for a session whose verified token makes its bearer an owner.
return function (session)
	local user = session and session.auth_token and session.jitsi_meet_context_user;
	if type(user) ~= "table" then
		return false;
	end
	return NAMES[user.affiliation] or user.moderator == true or user.moderator == "true";
end;
