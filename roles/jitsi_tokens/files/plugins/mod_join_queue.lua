-- Lets people into a room one after the other, and bounds how often one may try.
--
-- Each join tells everybody inside, so a crowd is let in so many a second. Upstream's muc_rate_limit
-- queues each attempt as well, also those that are refused, and then owners behind them: one guest who
-- hammers at the door shuts it for all others, and where the room ends meanwhile, nobody in the queue
-- gets an answer. So here
--   * a session has so many attempts, which a join that succeeds gives back;
--   * an address has so many wrong passwords for a room, however many sessions it makes: a short one
--     would be found by trying. After that it waits with any password, the right one among them, but
--     for owners by their token;
--   * only those wait who are let in otherwise, once each, and owners and machines never do;
--   * whoever waits when the room ends is told so.
--
-- Goes on every MUC in which people are. It marks joins as upstream marks those that have waited, so
-- that muc_rate_limit beside it queues nobody.
--
-- Options (MUC component or global):
--   join_queue_guesses     wrong passwords of one address for one room in a row, 10; one more each ten
--                          seconds
--   muc_rate_joins         people a second into one room, 3
--   join_queue_attempts    attempts of one session in a row, 20
--   join_queue_recovery    further ones a second, 1
--   join_queue_length      people who may wait for one room, 1000
--   those of machines.lib, who never wait
local cache = require "util.cache";
local jid = require "util.jid";
local queue = require "util.queue";

local muc = module:depends("muc");
local is_service = module:require("machines").is_service;
local refuse = module:require "refuse";
local bucket = module:require "bucket";
local household_of = module:require "household";

local MUC = "http://jabber.org/protocol/muc";
local ADDRESSES = 1000; -- of which a room knows something
local RECOVERY = 0.1; -- of guesses, a second

local rate, attempts, recovery, length, guesses;
local function read_settings()
	rate = module:get_option_number("muc_rate_joins", 3);
	attempts = module:get_option_number("join_queue_attempts", 20);
	recovery = module:get_option_number("join_queue_recovery", 1);
	length = module:get_option_number("join_queue_length", 1000);
	guesses = module:get_option_number("join_queue_guesses", 10);
end
read_settings();
module:hook_global("config-reloaded", read_settings);

local TURN = 1; -- seconds

-- Before all others, which cost more
module:hook("muc-occupant-pre-join", function (event)
	local session, stanza = event.origin, event.stanza;
	if is_service(stanza.attr.from) or stanza.join_queue_turn then
		return;
	end
	session.join_queue_bucket = bucket(session.join_queue_bucket, attempts, recovery);
	if not session.join_queue_bucket:poll(1) then
		return refuse(event, "wait", "resource-constraint", "You try too often");
	end
end, 2000);

-- Before the lobby (-4), which a password opens as well
module:hook("muc-occupant-pre-join", function (event)
	local session, stanza, room = event.origin, event.stanza, event.room;
	local join = stanza:get_child("x", MUC);
	local password = join and join:get_child_text("password", MUC);
	if not password or not room:get_password() or is_service(stanza.attr.from) or session.token_guard_owner then
		return;
	end
	room.join_queue_guesses = room.join_queue_guesses or cache.new(ADDRESSES);
	local household = household_of(session.ip or "");
	local left = bucket(room.join_queue_guesses:get(household), guesses, RECOVERY);
	local is_wrong = password ~= room:get_password();
	if not left:peek(1) then
		return refuse(event, "wait", "resource-constraint", "Too many wrong passwords");
	elseif is_wrong then
		left:poll(1);
		room.join_queue_guesses:set(household, left);
	end
end, 1990);

-- Just before muc_rate_limit (9)
module:hook("muc-occupant-pre-join", function (event)
	event.stanza.delayed_join_skip = true;
end, 9.5);

module:hook("muc-occupant-joined", function (event)
	local tries = event.origin and event.origin.join_queue_bucket;
	if tries then
		tries.balance = math.min(tries.balance + 1, attempts);
	end
end);

local function let_in(room, waiting)
	for _ = 1, rate do
		local join = waiting.line:pop();
		if join then
			if waiting.sessions[join.stanza.attr.from] == join then
				waiting.sessions[join.stanza.attr.from] = nil;
			end
			if join.origin.type == "c2s" and not join.has_left then -- not gone meanwhile
				join.stanza.join_queue_turn = true;
				room:handle_normal_presence(join.origin, join.stanza);
				join.stanza.join_queue_turn = nil;
			end
		end
	end
	if waiting.line:count() > 0 then
		return TURN; -- again in so many seconds
	end
	room.join_queue = nil;
end

local function wait(room, event)
	local waiting = room.join_queue;
	if not waiting then
		waiting = { line = queue.new(length), sessions = {} };
		room.join_queue = waiting;
		module:add_timer(TURN, function ()
			return room.join_queue == waiting and let_in(room, waiting) or nil;
		end);
	end
	local from = event.stanza.attr.from;
	if waiting.sessions[from] then
		return; -- has its place, and its answer will come
	end
	local join = { origin = event.origin, stanza = event.stanza };
	if not waiting.line:push(join) then
		refuse(event, "wait", "resource-constraint", "Too many people wait");
		return;
	end
	waiting.sessions[from] = join;
end

-- After all others: who comes this far is let in
module:hook("muc-occupant-pre-join", function (event)
	local room, stanza = event.room, event.stanza;
	local from = stanza.attr.from;
	if event.is_new_room or stanza.join_queue_turn or is_service(from)
		or room:get_affiliation(from) == "owner" then
		return;
	end
	room.join_queue_throttle = bucket(room.join_queue_throttle, rate, rate / TURN);
	if not room.join_queue and room.join_queue_throttle:poll(1) then
		return;
	end
	wait(room, event);
	return true;
end, -1000);

-- Who leaves while they wait is not inside yet, so Prosody makes no event of it
module:hook("presence/full", function (event)
	local stanza = event.stanza;
	local room = stanza.attr.type == "unavailable" and muc.get_room_from_jid(jid.bare(stanza.attr.to));
	local join = room and room.join_queue and room.join_queue.sessions[stanza.attr.from];
	if join then
		join.has_left = true;
		room.join_queue.sessions[stanza.attr.from] = nil;
	end
end, 10);

module:hook("muc-room-destroyed", function (event)
	local waiting = event.room.join_queue;
	event.room.join_queue = nil;
	while waiting and waiting.line:count() > 0 do
		local join = waiting.line:pop();
		if join.origin.type == "c2s" and not join.has_left then
			refuse(join, "cancel", "not-allowed", "Room does not exist");
		end
	end
end, 1); -- Prosody forgets the room at 0
