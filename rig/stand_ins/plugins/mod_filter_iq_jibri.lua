-- Stand-in (test double) for Jitsi's mod_filter_iq_jibri: not Jitsi's code.
-- Who starts or stops a recording needs the feature for it, and may not try too often. Everything else
-- that recorders are asked passes.
local cache = require "util.cache";
local new_throttle = require "util.throttle".create;
local jid = require "util.jid";
local st = require "util.stanza";
local util = module:require "util";

local PERIOD = 60; -- seconds
local per_address = module:get_option_number("max_number_ip_attempts_per_minute", 9);
local per_room = module:get_option_number("max_number_room_attempts_per_minute", 3);

local throttles = cache.new(module:get_option_number("jibri_rate_limit_cache_size", 10000));

local function is_too_often(address, room)
	if not throttles:get(address) then
		throttles:set(address, new_throttle(per_address, PERIOD));
	end
	room.jibri_throttle = room.jibri_throttle or new_throttle(per_room, PERIOD);
	return not throttles:get(address):poll(1) or not room.jibri_throttle:poll(1);
end

-- What is wrong with an order, as type and condition of an error; nothing if it may pass.
local function problem_with(order, stanza, session)
	local room = util.get_room_from_jid(util.room_jid_match_rewrite(jid.bare(stanza.attr.to)));
	if not room then
		return "cancel", "item-not-found";
	end
	local action = (order.attr.action or ""):lower();
	if action ~= "start" and action ~= "stop" then
		return;
	end
	local feature = (order.attr.recording_mode or ""):lower() == "file" and "recording" or "livestreaming";
	local occupant = room:get_occupant_by_real_jid(stanza.attr.from);
	local moderates = occupant ~= nil and occupant.role == "moderator";
	if not util.is_feature_allowed(feature, session.jitsi_meet_context_features, moderates) then
		return "auth", "forbidden";
	end
	if is_too_often(util.get_ip(session), room) then
		return "wait", "policy-violation";
	end
end

module:hook("pre-iq/full", function (event)
	local session, stanza = event.origin, event.stanza;
	local order = stanza:get_child("jibri", "http://jitsi.org/protocol/jibri");
	if not order then
		return;
	end
	local kind, condition = problem_with(order, stanza, session);
	if kind then
		module:log("info", "Filtered an order to a recorder from %s: %s", stanza.attr.from, condition);
		session.send(st.error_reply(stanza, kind, condition));
		return true;
	end
end);
