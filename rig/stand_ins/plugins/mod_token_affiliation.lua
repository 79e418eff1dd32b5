-- Stand-in (test double) for Jitsi's mod_token_affiliation: not Jitsi's code.
-- Owner or member, as the token says; without a token nothing changes.
local util = module:require "util";

local MUC = "http://jabber.org/protocol/muc";
local OWNERS = { owner = true, moderator = true, teacher = true };

local function affiliation_of(user)
	if user and (OWNERS[user.affiliation] or user.moderator == true or user.moderator == "true") then
		return "owner";
	end
	return "member";
end

-- In a room with a lobby only those who were let in, or who know the password, get anything.
local function has_to_wait(room, address, stanza)
	if not room:get_members_only() or (room:get_affiliation(address) or "none") ~= "none" then
		return false;
	end
	local join = stanza:get_child("x", MUC);
	local password = join and join:get_child_text("password", MUC);
	return not password or password ~= room:get_password();
end

-- After modules that let somebody pass the lobby (-3), before the lobby (-4)
module:hook("muc-occupant-pre-join", function (event)
	local room, occupant, session = event.room, event.occupant, event.origin;
	local address = occupant.bare_jid;
	if not session.auth_token or util.is_healthcheck_room(room.jid) or util.is_admin(address)
		or has_to_wait(room, address, event.stanza) then
		return;
	end
	local affiliation = affiliation_of(session.jitsi_meet_context_user);
	room:set_affiliation(true, address, affiliation);
	if affiliation == "owner" then
		occupant.role = "moderator";
	end
end, -3.5);
