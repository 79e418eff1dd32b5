-- Lets people whose token makes them owners enter while the lobby is on.
--
-- Goes on the MUC component of the meetings, beside token_affiliation. Only sessions of the main
-- VirtualHost count, as others have no token of their own, and who is banned stays out.
--
-- Options (global):
--   muc_mapper_domain_base   name of the main VirtualHost
local is_token_owner = module:require "token_owner";

local main_host = module:get_option_string("muc_mapper_domain_base");

-- Before token_affiliation (-3.5), which leaves newcomers alone while the lobby is on
module:hook("muc-occupant-pre-join", function (event)
	local room, occupant, session = event.room, event.occupant, event.origin;
	if not room:get_members_only() or session.host ~= main_host or not is_token_owner(session) then
		return;
	end
	local affiliation = room:get_affiliation(occupant.bare_jid) or "none";
	if affiliation == "none" or affiliation == "member" then
		room:set_affiliation(true, occupant.bare_jid, "owner");
		occupant.role = "moderator"; -- was set before, from the affiliation of then
	end
end, -3);
