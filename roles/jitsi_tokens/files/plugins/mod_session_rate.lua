-- Bounds how much one session makes the server do.
--
-- Prosody is one process. What one person sends into a room goes to everybody in it, so one who sends
-- without pause takes the time of all others; and one request of BOSH holds thousands of stanzas. Clients
-- send some dozens of stanzas when they enter, and few a second afterwards. What is too much is answered
-- with an error. Who goes on all the same is sent away, as answers cost time too.
--
-- Counted is all that comes, before anything else sees it. Leaving is never too much, nor is an answer,
-- until their sender is sent away.
--
-- Goes on the VirtualHosts of people.
--
-- Options (VirtualHost or global):
--   session_rate_burst            stanzas of a session in a row, 300
--   session_rate                  further ones a second, 100
--   session_rate_broadcast_burst  of these, presences and messages to a whole room in a row, 60; a
--                                 large one counts as several
--   session_rate_broadcast        further ones a second, 10
--   session_rate_excess_burst     stanzas in a row that were too much, 500
--   session_rate_excess           further ones a second, 20
local filters = require "util.filters";
local refuse = module:require "refuse";
local new_throttle = require "util.throttle".create;

local burst = module:get_option_number("session_rate_burst", 300);
local rate = module:get_option_number("session_rate", 100);
local broadcast_burst = module:get_option_number("session_rate_broadcast_burst", 60);
local broadcast_rate = module:get_option_number("session_rate_broadcast", 10);
local excess_burst = module:get_option_number("session_rate_excess_burst", 500);
local excess_rate = module:get_option_number("session_rate_excess", 20);

local XMLNS_CLIENT = "jabber:client";
local SHARE = 2048; -- bytes of a broadcast that count as one
local MARKUP = 40; -- bytes of text that take as long to send on as an element or attribute
local QUIET = { unavailable = true, error = true, result = true };

-- What it takes to send a stanza on, in bytes of text.
local function size_of(stanza)
	local size = MARKUP;
	for _, value in pairs(stanza.attr) do
		size = size + MARKUP + #value;
	end
	for _, child in ipairs(stanza) do
		size = size + (type(child) == "string" and #child or size_of(child));
	end
	return size;
end

-- How many of the stanzas to a whole room one is, 0 where it is none.
local function broadcasts_in(stanza)
	if stanza.name ~= "presence" and stanza.attr.type ~= "groupchat" then
		return 0;
	end
	return 1 + math.floor(size_of(stanza) / SHARE);
end

local function check(stanza, session)
	local counts = session.session_rate;
	local is_stanza = (stanza.attr.xmlns or XMLNS_CLIENT) == XMLNS_CLIENT;
	local is_quiet = is_stanza and QUIET[stanza.attr.type];
	if counts.all:poll(1)
		and (is_quiet or not is_stanza or counts.broadcast:poll(broadcasts_in(stanza))) then
		return stanza;
	elseif not counts.excess:poll(1) then
		session:close { condition = "policy-violation", text = "You send too much" };
		return nil;
	elseif is_quiet then
		return stanza;
	elseif is_stanza then
		refuse({ origin = session, stanza = stanza }, "wait", "resource-constraint", "You send too much");
	end
	return nil;
end

-- After mod_smacks, which has counted what is dropped here.
module:hook("authentication-success", function (event)
	local session = event.session;
	session.session_rate = {
		all = new_throttle(burst, burst / rate),
		broadcast = new_throttle(broadcast_burst, broadcast_burst / broadcast_rate),
		excess = new_throttle(excess_burst, excess_burst / excess_rate),
	};
	filters.add_filter(session, "stanzas/in", check, 900);
end);
