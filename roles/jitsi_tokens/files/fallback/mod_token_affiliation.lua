-- Owner or member from the token, for plugin sets that have no mod_token_affiliation of their own.
--
-- In those this file is the one that Prosody finds: its folder is the last of plugin_paths. The
-- effect is that of upstream's: whom the token makes no owner it makes a member. While the room
-- takes members only, newcomers stay what they are, unless they know the room's password.
--
-- Goes on the MUC component of the meetings. No options.
local is_token_owner = module:require "token_owner";
local util = module:require "util";

local MUC_NS = "http://jabber.org/protocol/muc";

local function knows_password(room, stanza)
	local wanted = room:get_password();
	local join = stanza:get_child("x", MUC_NS);
	return wanted ~= nil and join ~= nil and join:get_child_text("password", MUC_NS) == wanted;
end

-- After those who let owners pass (-3), before the lobby (-4) and members_only (-5)
module:hook("muc-occupant-pre-join", function (event)
	local room, occupant, session = event.room, event.occupant, event.origin;
	if not session or not session.auth_token
		or util.is_healthcheck_room(room.jid) or util.is_admin(occupant.bare_jid) then
		return;
	end
	local present = room:get_affiliation(occupant.bare_jid) or "none";
	if room:get_members_only() and present == "none" and not knows_password(room, event.stanza) then
		return;
	end
	if is_token_owner(session) then
		room:set_affiliation(true, occupant.bare_jid, "owner");
		occupant.role = "moderator";
	else
		room:set_affiliation(true, occupant.bare_jid, "member");
	end
end, -3.5);
