-- Stand-in (test double) for Jitsi's mod_muc_domain_mapper: not Jitsi's code.
-- Lets clients say room@conference.tenant.D where the MUC knows [tenant]room@conference.D.
if not module:get_option_string("muc_mapper_domain_base") then
	module:log("warn", "No 'muc_mapper_domain_base' option set, disabling muc_mapper plugin inactive");
	return;
end

local filters = require "util.filters";
local util = module:require "util";

local function rewrite_to(stanza)
	if stanza.attr.to then
		stanza.attr.to = util.room_jid_match_rewrite(stanza.attr.to, stanza);
	end
end

local function rewrite_from(stanza)
	if stanza.attr.from then
		stanza.attr.from = util.internal_room_jid_match_rewrite(stanza.attr.from, stanza);
	end
end

local names = { message = true, presence = true, iq = true };

-- What goes out to a client passes no router, so a filter on the session does it
local function rewrite_outgoing(stanza, session)
	if stanza.skipMapping or session.type == "s2sout" or not names[stanza.name] then
		return stanza;
	end
	local conference = stanza.name == "iq" and stanza:get_child("conference");
	if conference then
		conference.attr.room = util.room_jid_match_rewrite(conference.attr.room, stanza);
	end
	rewrite_to(stanza);
	rewrite_from(stanza);
	return stanza;
end

local function add_filter(session)
	filters.add_filter(session, "stanzas/out", rewrite_outgoing);
end

function module.load()
	filters.add_filter_hook(add_filter);
end

function module.unload()
	filters.remove_filter_hook(add_filter);
end

local function add_host(host)
	local context = module:context(host);
	for name in pairs(names) do
		for _, kind in ipairs { "host", "bare", "full" } do
			local event_name = name .. "/" .. kind;
			context:hook(event_name, function (event) rewrite_from(event.stanza); end);
			context:hook("pre-" .. event_name, function (event) rewrite_to(event.stanza); end);
		end
	end
end

prosody.events.add_handler("host-activated", add_host);
for host in pairs(prosody.hosts) do
	add_host(host);
end
