-- Stand-in (test double) for Jitsi's mod_muc_rate_limit: not Jitsi's code.
-- Lets so many people a second into a room and out of it; the others wait in line. Who waits to leave
-- is no longer in the room, and the others are told so when their turn comes.
local queue = require "util.queue";
local st = require "util.stanza";
local new_throttle = require "util.throttle".create;

local LENGTH = 1000;

-- Calls `proceed` for so many events a second: at once, or later for those that `wait` has prepared.
local function limit(name, rate, wait, proceed)
	return function (event)
		local room = event.room;
		local key = name .. "_line";
		local line = room[key];
		if not line then
			line = { throttle = new_throttle(rate, 1), events = queue.new(LENGTH) };
			room[key] = line;
		end
		if not line.timer and line.throttle:poll(1) then
			return;
		elseif not line.events:push(event) then
			module:log("error", "Too many wait at %s", room.jid);
			return;
		end
		wait(event);
		line.timer = line.timer or module:add_timer(1, function ()
			for _ = 1, rate do
				local next_event = line.events:pop();
				if next_event then
					proceed(next_event);
				end
			end
			if line.events:count() > 0 then
				return 1; -- again in a second
			end
			line.timer = nil;
		end);
		return true;
	end
end

local queue_join = limit("join", module:get_option_number("muc_rate_joins", 3), function () end, function (event)
	if event.origin.conn and not event.room.destroying then
		event.stanza.delayed_join_skip = true;
		event.room:handle_normal_presence(event.origin, event.stanza);
	end
end);

module:hook("muc-occupant-pre-join", function (event)
	if event.stanza.delayed_join_skip then
		event.stanza.delayed_join_skip = nil;
		return;
	end
	return queue_join(event);
end, 9);

local queue_leave = limit("leave", module:get_option_number("muc_rate_leaves", 5), function (event)
	event.role = event.occupant.role;
	event.occupant.role = nil;
	event.room:save_occupant(event.occupant);
end, function (event)
	local room, occupant = event.room, event.occupant;
	local x = st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" });
	room:publicise_occupant_status(occupant, x, nil, nil, nil, event.role);
	module:fire_event("muc-occupant-left", { room = room, nick = occupant.nick, occupant = occupant,
		origin = event.origin, stanza = event.stanza });
end);

module:hook("muc-occupant-pre-leave", queue_leave);
