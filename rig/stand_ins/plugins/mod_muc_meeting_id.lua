-- Stand-in (test double) for Jitsi's mod_muc_meeting_id: not Jitsi's code.
-- Gives each room an id, keeps people waiting until Jicofo is in, and keeps hands off Jicofo.
local jid = require "util.jid";
local queue = require "util.queue";
local st = require "util.stanza";
local new_uuid = require "util.uuid".generate;
local util = module:require "util";
require "cjson.safe";

module:depends("jitsi_permissions");
module:depends("jitsi_session");

local function refuse(event, condition)
	event.origin.send(st.error_reply(event.stanza, "cancel", condition));
	return true;
end

module:hook("muc-room-pre-create", function (event)
	local to = event.stanza.attr.to;
	if util.is_healthcheck_room(to) and not util.is_focus(to) then
		return refuse(event, "service-unavailable");
	end
end, 100);

module:hook("muc-room-created", function (event)
	if not util.is_healthcheck_room(event.room.jid) then
		event.room._data.meetingId = new_uuid();
	end
end);

local function add_meeting_id(event)
	table.insert(event.form, {
		name = "muc#roominfo_meetingId";
		type = "text-single";
		label = "Id of the meeting";
		value = event.room._data.meetingId or "";
	});
end
module:hook("muc-disco#info", add_meeting_id);
module:hook("muc-config-form", add_meeting_id, 87);

module:hook("muc-config-submitted/muc#roominfo_meetingId", function (event)
	if util.is_admin(event.actor) then
		event.room._data.meetingId = event.value;
		return;
	end
	return true;
end, 99);
for _, field in ipairs { "moderatedroom", "presencebroadcast" } do
	module:hook("muc-config-submitted/muc#roomconfig_" .. field, function () return true; end, 99);
end

-- Who was kicked comes back without rights
module:hook("muc-broadcast-presence", function (event)
	for status in event.x:childtags("status") do
		if status.attr.code == "307" then
			event.room:set_affiliation(event.actor, event.occupant.bare_jid, "none");
		end
	end
end);

-- Just after the rate limit
module:hook("muc-occupant-pre-join", function (event)
	local room, nick = event.room, event.occupant.nick;
	if util.is_healthcheck_room(room.jid) then
		return not util.is_focus(nick) and refuse(event, "service-unavailable") or nil;
	end
	local region = event.origin.user_region;
	if region and not util.is_admin(event.occupant.bare_jid)
		and not event.stanza:get_child("jitsi_participant_region") then
		event.stanza:text_tag("jitsi_participant_region", region);
	end
	if room._data.jicofo_lock == false then
		return;
	end
	if util.is_focus(nick) then
		module:fire_event("jicofo-unlock-room", { room = room });
		return;
	end
	room._data.jicofo_lock = true;
	room.pre_join_queue = room.pre_join_queue or queue.new(500);
	if not room.pre_join_queue:push(event) then
		module:log("error", "Too many people wait for Jicofo in %s", room.jid);
	end
	return true;
end, 8);

module:hook("jicofo-unlock-room", function (event)
	local room = event.room;
	local waiting = room.pre_join_queue;
	room._data.jicofo_lock = false;
	room.pre_join_queue = nil;
	if not waiting then
		return;
	end
	for _, join in waiting:items() do
		if join.origin.conn then
			room:handle_normal_presence(join.origin, join.stanza);
		end
	end
end);

for _, kind in ipairs { "bare", "host" } do
	module:hook("iq-set/" .. kind .. "/http://jabber.org/protocol/muc#admin:query", function (event)
		local room = util.get_room_from_jid(jid.bare(event.stanza.attr.to));
		if not room then
			return;
		end
		for item in event.stanza.tags[1]:childtags("item") do
			local nick, address = item.attr.nick, item.attr.jid;
			if nick and util.is_focus("/" .. nick) or address and jid.node(address) == "focus" then
				module:log("warn", "%s tried to change Jicofo in %s", event.stanza.attr.from, room.jid);
				return refuse(event, "not-allowed");
			end
		end
	end, 10);
end

-- A display name in a message could be somebody else's
module:hook("muc-occupant-groupchat", function (event)
	event.stanza:remove_children("nick", "http://jabber.org/protocol/nick");
end, 45);
