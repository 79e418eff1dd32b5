-- Stand-in (test double) for Jitsi's mod_room_metadata_component: not Jitsi's code.
-- Tells everybody in a meeting what a moderator, or whoever another module lets, sets for it, and who
-- enters it which servers of STUN and TURN there are.
local filters = require "util.filters";
local jid = require "util.jid";
local json = require "util.json";
local st = require "util.stanza";
local util = module:require "util";

module:depends("jitsi_session");

local get_services = module:depends("external_services").get_services;

local namespace = "http://jitsi.org/jitmeet";
local muc_user = "http://jabber.org/protocol/muc#user";
local muc = module:get_option_string("muc_component");

local function tell(address, metadata)
	local news = json.encode { type = "room_metadata", metadata = metadata };
	module:send(st.message({ from = module.host, to = address })
		:tag("json-message", { xmlns = namespace }):text(news):up());
end

local function tell_all(room)
	for _, occupant in room:each_occupant() do
		tell(occupant.jid, room.jitsiMetadata);
	end
end

-- Clients go by these from then on, and no longer by those that they asked for.
local function known_services()
	local services = {};
	for _, each in ipairs(get_services()) do
		table.insert(services, {
			type = each.type, transport = each.transport, host = each.host,
			port = each.port and ("%d"):format(each.port), username = each.username,
			password = each.password, restricted = each.restricted and "1" or nil,
		});
	end
	return services;
end

-- Before their own presence, by which they are inside
local function tell_newcomer(stanza, session)
	local x = stanza.name == "presence" and not stanza.attr.type and stanza:get_child("x", muc_user);
	if not x or not x:get_child_with_attr("status", nil, "code", "110") then
		return stanza;
	end
	local room = util.get_room_from_jid(util.room_jid_match_rewrite(jid.bare(stanza.attr.from)));
	if room and jid.host(room.jid) == muc and session.told_of_services ~= room then
		session.told_of_services = room;
		local metadata = { services = known_services() };
		for key, value in pairs(room.jitsiMetadata or {}) do
			metadata[key] = value;
		end
		tell(session.full_jid, metadata);
	end
	return stanza;
end

filters.add_filter_hook(function (session)
	filters.add_filter(session, "stanzas/out", tell_newcomer, -3);
end);

-- What to store: the order's data, what another module makes of it, or nil where neither allows it.
local function allowed(order, room, occupant, session)
	local main = module:context(module:get_option_string("muc_mapper_domain_base"));
	local verdict = main:fire_event("jitsi-metadata-allow-moderation", {
		room = room, actor = occupant, key = order.key, data = order.data, session = session,
	});
	if verdict == nil and occupant.role == "moderator" then
		return order.data;
	end
	return verdict or nil;
end

module:hook("message/host", function (event)
	local session, stanza = event.origin, event.stanza;
	local message = stanza:get_child("room_metadata", namespace);
	if stanza.attr.type == "error" or not message or not session.jitsi_web_query_room then
		return;
	end
	local room = util.get_room_from_jid(util.room_jid_match_rewrite(message.attr.room or ""));
	local occupant = room and room:get_occupant_by_real_jid(stanza.attr.from);
	local order = json.decode(message:get_text() or "");
	if not occupant or type(order) ~= "table" or type(order.key) ~= "string" then
		return true;
	end
	local data = allowed(order, room, occupant, session);
	if data == nil then
		module:log("warn", "%s may not set %s", stanza.attr.from, order.key);
		return true;
	end
	room.jitsiMetadata = room.jitsiMetadata or {};
	room.jitsiMetadata[order.key] = data;
	tell_all(room);
	return true;
end);

util.advertise("room_metadata");
