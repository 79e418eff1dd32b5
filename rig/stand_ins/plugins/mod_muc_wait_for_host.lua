-- Stand-in (test double) for Jitsi's mod_muc_wait_for_host: not Jitsi's code.
-- Puts people without a token into a lobby until somebody with one enters. Upstream's weaknesses are
-- there too: a token counts that nobody checked, and so does the main host without any token; and
-- whoever counts becomes an owner unless told otherwise.
local jid = require "util.jid";
local util = module:require "util";

local main_host = module:get_option_string("muc_mapper_domain_base");
if not main_host then
	module:log("warn", "Without muc_mapper_domain_base nobody waits");
	return;
end

local function opens(session, address)
	return session.auth_token ~= nil or session.username ~= nil and jid.host(address) == main_host;
end

-- Others may hook this as well and say who opens a room
module:hook("room_has_host", function (event)
	return opens(event.session, event.occupant.bare_jid) or nil;
end);

local function has_host_inside(room)
	for _, occupant in room:each_occupant() do
		local session = prosody.full_sessions[occupant.jid];
		if jid.host(occupant.bare_jid) == main_host or session and session.auth_token then
			return true;
		end
	end
end

local function open(room, occupant, session)
	room:set_members_only(false);
	room:set_persistent(false);
	-- None while the room was for members only
	occupant.role = room:get_default_role(room:get_affiliation(occupant.bare_jid)) or "participant";
	module:log("info", "Host %s arrived in %s.", occupant.bare_jid, room.jid);
	module:fire_event("room_host_arrived", room.jid, session);
	prosody.events.fire_event("destroy-lobby-room", {
		room = room, newjid = util.internal_room_jid_match_rewrite(room.jid), message = "Host arrived." });
end

module:hook("muc-occupant-pre-join", function (event)
	local room, occupant, session = event.room, event.occupant, event.origin;
	if room.has_host or util.is_healthcheck_room(room.jid) or util.is_admin(occupant.bare_jid) then
		return;
	end
	room.has_host = has_host_inside(room);
	if room.has_host then
		return;
	end
	if module:fire_event("room_has_host", { room = room, occupant = occupant, session = session }) then
		open(room, occupant, session);
	elseif not room:get_members_only() then
		module:log("info", "Will wait for host in %s.", room.jid);
		prosody.events.fire_event("create-persistent-lobby-room", {
			room = room, reason = "waiting-for-host", skip_display_name_check = true });
	end
end);

if not module:get_option_boolean("wait_for_host_disable_auto_owners", false) then
	module:hook("muc-occupant-joined", function (event)
		if opens(event.origin, event.occupant.bare_jid) then
			event.room:set_affiliation(true, event.occupant.bare_jid, "owner");
		end
	end, 2);
end
