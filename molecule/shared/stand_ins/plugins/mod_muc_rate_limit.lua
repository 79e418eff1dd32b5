-- Stand-in (test double) for Jitsi's mod_muc_rate_limit: not Jitsi's code.
-- Lets so many people a second into a room; the others wait in line.
local queue = require "util.queue";
local new_throttle = require "util.throttle".create;

local joins = module:get_option_number("muc_rate_joins", 3); -- people a second

local function admit(room)
	local waiting = room.join_queue;
	for _ = 1, joins do
		local join = waiting:pop();
		if join and join.origin.conn and not room.destroying then
			join.stanza.has_waited = true;
			room:handle_normal_presence(join.origin, join.stanza);
		end
	end
	if waiting:count() > 0 then
		return 1; -- again in a second
	end
	room.join_queue = nil;
end

module:hook("muc-occupant-pre-join", function (event)
	local room, stanza = event.room, event.stanza;
	if stanza.has_waited then
		stanza.has_waited = nil;
		return;
	end
	room.join_throttle = room.join_throttle or new_throttle(joins, 1);
	if not room.join_queue then
		if room.join_throttle:poll(1) then
			return;
		end
		room.join_queue = queue.new(1000);
		module:add_timer(1, function () return admit(room); end);
	end
	if not room.join_queue:push(event) then
		module:log("error", "Too many people wait to enter %s", room.jid);
		return;
	end
	return true;
end, 9);
