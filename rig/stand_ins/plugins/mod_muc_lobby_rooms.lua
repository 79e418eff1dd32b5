-- Stand-in (test double) for Jitsi's mod_muc_lobby_rooms: not Jitsi's code.
-- A room for members only gets a second one, its lobby, where newcomers wait until a moderator invites
-- them. Who moderates the room moderates its lobby, and those who wait do not see each other.
local filters = require "util.filters";
local jid = require "util.jid";
local json = require "cjson.safe";
local st = require "util.stanza";
local util = module:require "util";

local MUC = "http://jabber.org/protocol/muc";
local MUC_USER = MUC .. "#user";
local JITSI = "http://jitsi.org/jitmeet";

module:depends("jitsi_session");

local main_name = module:get_option_string("main_muc");
local lobby_name = module:get_option_string("lobby_muc");
if not main_name or not lobby_name then
	module:log("error", "main_muc and lobby_muc have to be set");
	return;
end

local whitelist;
local function load_options()
	whitelist = module:get_option_set("muc_lobby_whitelist", {});
end
load_options();
module:hook_global("config-reloaded", load_options);

local main, lobbies; -- { context =, muc = } of both components

local function note_metadata(room, enabled)
	room.jitsiMetadata = room.jitsiMetadata or {};
	room.jitsiMetadata.lobbyEnabled = enabled;
end

-- Tells a room what one of its occupants did.
local function notify(room, actor, content)
	local occupant = room and room:get_occupant_by_real_jid(actor);
	if occupant then
		content.type = "lobby-notify";
		room:broadcast_message(st.message({ type = "groupchat", from = occupant.nick })
			:text_tag("json-message", json.encode(content), { xmlns = JITSI }));
	end
end

local function display_name(presence)
	return presence:get_child_text("nick", "http://jabber.org/protocol/nick");
end

local function notify_decision(room, actor, occupant, granted)
	notify(room, actor, {
		event = granted and "LOBBY-ACCESS-GRANTED" or "LOBBY-ACCESS-DENIED",
		value = occupant.nick, name = display_name(occupant:get_presence()) });
end

-- Returns whether there was no lobby before.
local function attach(room)
	local address = jid.join(jid.node(room.jid), lobby_name);
	if lobbies.muc.get_room_from_jid(address) then
		return false;
	end
	local lobby = lobbies.muc.create_room(address);
	lobby:set_persistent(true);
	lobby.main_room_jid = room.jid;
	room._data.lobbyroom = address;
	room:save(true);
	module:log("info", "%s has a lobby now", room.jid);
	return true;
end

local function detach(room, new_address, message)
	local address = room._data.lobbyroom;
	local lobby = address and lobbies and lobbies.muc.get_room_from_jid(address);
	if lobby then
		lobby:set_persistent(false);
		lobby:destroy(new_address, message or "Lobby room closed.");
		if room.jitsiMetadata then
			note_metadata(room, false);
			main.context:fire_event("room-metadata-changed", { room = room });
		end
	end
	for _, name in ipairs { "lobbyroom", "lobby_extra_reason", "lobby_skip_display_name_check" } do
		room._data[name] = nil;
	end
end

-- The main room tells its occupants that its configuration changed.
local function announce_change(room)
	room:broadcast_message(st.message({ type = "groupchat", from = room.jid })
		:tag("x", { xmlns = MUC_USER }):tag("status", { code = "104" }));
end

module:hook_global("create-lobby-room", function (event)
	local room = event.room;
	-- Otherwise those who are inside would be sent out
	for _, occupant in room:each_occupant() do
		if (room:get_affiliation(occupant.bare_jid) or "none") == "none" then
			room:set_affiliation(true, occupant.bare_jid, "member");
		end
	end
	room:set_members_only(true);
	room._data.lobby_extra_reason = event.reason;
	room._data.lobby_skip_display_name_check = event.skip_display_name_check;
	note_metadata(room, true);
	announce_change(room);
	attach(room);
end);

module:hook_global("destroy-lobby-room", function (event)
	detach(event.room, event.newjid, event.message);
	announce_change(event.room);
end);

-- Whether somebody gets a stanza that comes from a lobby.
local function may_see(stanza)
	if stanza.name == "iq" then
		return stanza:get_child("query", "http://jabber.org/protocol/disco#info") ~= nil;
	end
	local lobby = lobbies.muc.get_room_from_jid(jid.bare(stanza.attr.from));
	local sees_all = lobby and lobby:get_affiliation(stanza.attr.to) == "owner";
	local sender = lobby and lobby:get_occupant_by_nick(stanza.attr.from);
	local from_owner = sender and lobby:get_affiliation(sender.bare_jid) == "owner";
	if stanza.name == "message" then
		return sender ~= nil and (sees_all or from_owner);
	end
	local x = stanza:get_child("x", MUC_USER);
	return not lobby or not x or stanza.attr.type == "unavailable"
		or util.presence_check_status(x, "110") or sees_all and not from_owner;
end

local function filter(stanza)
	if not main or not stanza.attr or not stanza.attr.from or jid.host(stanza.attr.from) ~= lobby_name
		or may_see(stanza) then
		return stanza;
	end
end

local function add_filter(session)
	filters.add_filter(session, "stanzas/out", filter, -1); -- after the domain mapper
end

function module.unload()
	filters.remove_filter_hook(add_filter);
end

util.process_muc(lobby_name, function (context, muc)
	lobbies = { context = context, muc = muc };
	filters.add_filter_hook(add_filter);
	module:add_identity("component", "lobbyrooms", lobby_name);

	function muc.room_mt.get_affiliation(lobby, address)
		local room = lobby.main_room_jid and util.get_room_from_jid(lobby.main_room_jid);
		return room and room:get_affiliation(address) or "none";
	end

	context:hook("muc-broadcast-presence", function (event)
		if util.presence_check_status(event.x, "307") then
			local room = util.get_room_from_jid(event.room.main_room_jid);
			notify_decision(room, event.actor, event.occupant, false);
		end
	end);
end);

-- True for those whom the lobby does not stop; their way in is made ready.
local function passes(room, occupant, stanza)
	local from = stanza.attr.from;
	local address = jid.bare(from);
	local affiliation = room:get_affiliation(from) or "none";
	local password = room:get_password();
	local join = stanza:get_child("x", MUC);
	local given = join:get_child_text("password", MUC);
	if whitelist:contains(jid.host(from)) or whitelist:contains(address)
		or password and given == password then
		if affiliation == "none" or affiliation == "member" then
			occupant.role = "participant";
			room:set_affiliation(true, address, "member");
			room:save_occupant(occupant);
			return true;
		end
	elseif password and not given and affiliation ~= "none" and affiliation ~= "outcast" then
		join:text_tag("password", password, { xmlns = MUC });
	end
end

local function stop_newcomers(event)
	local room, occupant, stanza = event.room, event.occupant, event.stanza;
	if not room:get_members_only() or util.is_healthcheck_room(room.jid) or util.is_focus(occupant.nick)
		or not stanza:get_child("x", MUC) or passes(room, occupant, stanza) then
		return;
	end
	local reply;
	if (display_name(stanza) or "") == "" and not room._data.lobby_skip_display_name_check then
		reply = st.error_reply(stanza, "modify", "not-acceptable");
		reply.tags[1].attr.code = "406";
		reply:tag("displayname-required", { xmlns = JITSI, lobby = "true" }):reset();
	elseif (room:get_affiliation(stanza.attr.from) or "none") == "none" then
		reply = st.error_reply(stanza, "auth", "registration-required");
		reply.tags[1].attr.code = "407";
		if room._data.lobby_extra_reason then
			reply:tag(room._data.lobby_extra_reason, { xmlns = JITSI }):up();
		end
		reply:text_tag("lobbyroom", room._data.lobbyroom, { xmlns = JITSI }):reset();
		reply:text_tag("lobbyroom", room._data.lobbyroom); -- once more, for old clients
	else
		return;
	end
	event.origin.send(reply:tag("x", { xmlns = MUC }));
	return true;
end

local function follow_configuration(event)
	local room, actor = event.room, event.actor;
	if util.is_focus_jid(actor) then
		return;
	end
	if not event.fields["muc#roomconfig_membersonly"] then
		if room._data.lobbyroom then
			detach(room, util.internal_room_jid_match_rewrite(room.jid));
			module:fire_event("jitsi-lobby-disabled", { room = room });
			notify(room, actor, { event = "LOBBY-ENABLED", value = false });
		end
	elseif not room._data.lobby_disabled and attach(room) then
		module:fire_event("jitsi-lobby-enabled", { room = room });
		event.status_codes["104"] = true;
		notify(room, actor, { event = "LOBBY-ENABLED", value = true });
		note_metadata(room, true);
		main.context:fire_event("room-metadata-changed", { room = room });
	end
end

-- A client may change several people with one stanza, of which Prosody takes the first. Each is
-- answered, up to the first that fails.
local function change_each(room, origin, stanza)
	local failed = false;
	local watched = setmetatable({ send = function (reply)
		failed = failed or reply.attr.type == "error";
		return origin.send(reply);
	end }, { __index = origin });
	local query = stanza.tags[1];
	for _, item in ipairs(query.tags) do
		if failed then
			break;
		end
		local single = st.clone(stanza, true):tag(query.name, query.attr):add_child(item):reset();
		room:handle_admin_query_set_command(watched, single);
	end
	return true;
end

local function invite_each(room, origin, stanza)
	local x = (stanza.attr.type or "normal") == "normal" and stanza:get_child("x", MUC_USER);
	local handled;
	for _, payload in ipairs(x and x.tags or {}) do
		if payload.name == "invite" and payload.attr.to then
			handled = true;
			local single = st.clone(stanza);
			single:remove_children("x", MUC_USER);
			single:tag("x", { xmlns = MUC_USER }):add_child(payload):reset();
			room:handle_mediated_invite(origin, single, payload);
		end
	end
	return handled;
end

util.process_muc(main_name, function (context, muc)
	main = { context = context, muc = muc };
	context:hook("muc-config-submitted", follow_configuration);
	context:hook("muc-occupant-pre-join", stop_newcomers, -4); -- before members-only

	context:hook("muc-room-destroyed", function (event)
		detach(event.room);
	end, 1);

	context:hook("muc-disco#info", function (event)
		local address = event.room._data.lobbyroom;
		if address and event.room:get_members_only() then
			table.insert(event.form, { name = "muc#roominfo_lobbyroom", label = "Lobby", value = "" });
			event.formdata["muc#roominfo_lobbyroom"] = address;
		end
	end);

	context:hook("muc-invite", function (event)
		local address = event.room._data.lobbyroom;
		local lobby = address and lobbies and lobbies.muc.get_room_from_jid(address);
		local occupant = lobby and lobby:get_occupant_by_real_jid(event.stanza.attr.to);
		if occupant then
			local from = event.stanza:get_child("x", MUC_USER):get_child("invite").attr.from;
			notify_decision(event.room, from, occupant, true);
		end
	end);
	-- After Prosody put the password into it
	context:hook("muc-invite", function (event)
		event.stanza:get_child("x", MUC_USER):maptags(function (tag)
			return tag.name ~= "password" and tag or nil;
		end);
	end, -100);

	for _, kind in ipairs { "bare", "host" } do
		for name, handle in pairs {
			["iq-set/" .. kind .. "/" .. MUC .. "#admin:query"] = change_each,
			["message/" .. kind] = invite_each,
		} do
			context:hook(name, function (event)
				local room = util.get_room_from_jid(jid.bare(event.stanza.attr.to));
				if room then
					return handle(room, event.origin, event.stanza);
				end
			end, 1); -- before Prosody's own handler
		end
	end
end);
