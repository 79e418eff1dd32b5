-- Stand-in (test double) for Jitsi's mod_room_metadata_component: not Jitsi's code.
-- Tells everybody in a meeting what a moderator, or whoever another module lets, sets for it.
local json = require "util.json";
local st = require "util.stanza";
local util = module:require "util";

module:depends("jitsi_session");

local namespace = "http://jitsi.org/jitmeet";

local function tell(room)
	local news = json.encode { type = "room_metadata", metadata = room.jitsiMetadata };
	for _, occupant in room:each_occupant() do
		local message = st.message({ from = module.host, to = occupant.jid })
			:tag("json-message", { xmlns = namespace }):text(news):up();
		room:route_stanza(message);
	end
end

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
	tell(room);
	return true;
end);

util.advertise("room_metadata");
