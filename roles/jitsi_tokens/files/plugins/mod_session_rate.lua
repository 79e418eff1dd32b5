-- Bounds how much one session makes the server do.
--
-- Prosody is one process. What one person sends into a room goes to everybody in it, so one who sends
-- without pause takes the time of all others; and one request of BOSH holds thousands of stanzas. Clients
-- send some dozens of stanzas when they enter, and few a second afterwards. What is too much is answered
-- with an error. Who goes on all the same is sent away, as answers cost time too.
--
-- Counted is all that comes, before anything else sees it. Leaving is never too much, nor is an answer,
-- until their sender is sent away. A large stanza counts as several.
--
-- What is on its way to somebody who does not take it stays in memory: for a request of BOSH, for a slow
-- connection, or for an acknowledgement. Who leaves too much of it is sent away.
--
-- Goes on the VirtualHosts of people.
--
-- Options (VirtualHost or global):
--   session_rate_burst            stanzas of a session in a row, 300
--   session_rate                  further ones a second, 100
--   session_rate_broadcast_burst  of these, presences, and what goes to a whole room, in a row, 60; one
--                                 that asks for the list of occupants counts as six
--   session_rate_broadcast        further ones a second, 10
--   session_rate_excess_burst     stanzas in a row that were too much, 500
--   session_rate_excess           further ones a second, 20
--   session_rate_unsent           bytes that may wait for who receives them, 4194304
local destroy_session = require "core.sessionmanager".destroy_session;
local filters = require "util.filters";
local refuse = module:require "refuse";
local size_of = module:require "size_of";
local bucket = module:require "bucket";

local burst, rate, broadcast_burst, broadcast_rate, excess_burst, excess_rate, most_unsent;
local function read_settings()
	burst = module:get_option_number("session_rate_burst", 300);
	rate = module:get_option_number("session_rate", 100);
	broadcast_burst = module:get_option_number("session_rate_broadcast_burst", 60);
	broadcast_rate = module:get_option_number("session_rate_broadcast", 10);
	excess_burst = module:get_option_number("session_rate_excess_burst", 500);
	excess_rate = module:get_option_number("session_rate_excess", 20);
	most_unsent = module:get_option_number("session_rate_unsent", 4 * 1024 * 1024);
end
read_settings();
module:hook_global("config-reloaded", read_settings);

local XMLNS_CLIENT = "jabber:client";
local XMLNS_MUC = "http://jabber.org/protocol/muc";
local XMLNS_NICK = "http://jabber.org/protocol/nick";
local SHARE = 2048; -- bytes that count as one stanza
local LIST = 6; -- messages to a room that cost as much as the list of its occupants
local LARGEST_PRESENCE = 16; -- shares. It is kept, and sent to everybody who comes
local LONGEST_NAME = 512; -- bytes of the name in it, which other modules keep and send as well
local LOOK = 256 * 1024; -- bytes of output after which it is worth while to look how much was taken
local QUIET = { unavailable = true, error = true, result = true };

-- How many stanzas one is worth.
local function weight_of(stanza)
	return 1 + math.floor(size_of(stanza) / SHARE);
end

-- How many of the stanzas to a whole room one of this weight is, 0 where it is none. Orders to a room
-- are told to everybody in it.
local function broadcasts_in(stanza, weight)
	local address, kind = stanza.attr.to or "", stanza.attr.type;
	if stanza.name ~= "presence" then
		local is_order = kind ~= "get" and address:find("@", 1, true) and not address:find("/", 1, true);
		return (is_order or kind == "groupchat") and weight or 0;
	elseif weight > LARGEST_PRESENCE or #(stanza:get_child_text("nick", XMLNS_NICK) or "") > LONGEST_NAME then
		return math.huge;
	end
	return stanza:get_child("x", XMLNS_MUC) and weight + LIST - 1 or weight;
end

local function send_away(session, condition, text)
	local connection = session.websocket_request and session.conn;
	-- As mod_smacks has it for others than BOSH: nobody resumes this session
	module:context(session.host):fire_event("pre-session-close", { session = session });
	session:close { condition = condition, text = text };
	if not session.destroyed then -- its connection is lost
		destroy_session(session, text);
	end
	return connection;
end

local function check(stanza, session)
	local counts = session.session_rate;
	counts.all = bucket(counts.all, burst, rate);
	counts.broadcast = bucket(counts.broadcast, broadcast_burst, broadcast_rate);
	counts.excess = bucket(counts.excess, excess_burst, excess_rate);
	local is_stanza = (stanza.attr.xmlns or XMLNS_CLIENT) == XMLNS_CLIENT;
	local weight = weight_of(stanza);
	local is_quiet = is_stanza and QUIET[stanza.attr.type]
		and (stanza.name ~= "presence" or weight <= LARGEST_PRESENCE);
	if counts.all:poll(weight)
		and (is_quiet or not is_stanza or counts.broadcast:poll(broadcasts_in(stanza, weight))) then
		return stanza;
	elseif not counts.excess:poll(weight) then
		send_away(session, "policy-violation", "You send too much");
		return nil;
	elseif is_quiet then
		return stanza;
	elseif is_stanza then
		refuse({ origin = session, stanza = stanza }, "wait", "resource-constraint", "You send too much");
	end
	return nil;
end

-- Bytes of a list of texts, or of what takes them together.
local function length_of(buffer)
	if type(buffer) ~= "table" or getmetatable(buffer) then
		return buffer and #buffer or 0;
	end
	local length = 0;
	for _, text in ipairs(buffer) do
		length = length + #text;
	end
	return length;
end

-- What a session has been sent and has not taken, in bytes.
local function unsent_of(session)
	local length = length_of(session.send_buffer);
	if session.websocket_request and session.conn then
		length = length + length_of(session.conn.writebuffer);
	end
	if session.outgoing_stanza_queue then
		for _, stanza in session.outgoing_stanza_queue:resume() do
			length = length + size_of(stanza);
		end
	end
	return length;
end

-- Ends a session that takes nothing, when nobody is in the middle of sending to it.
local function give_up(session)
	session.session_rate.is_full = true;
	module:add_timer(0, function ()
		if session.destroyed then
			return;
		end
		module:log("info", "%s does not take what it is sent", session.full_jid or session.ip);
		local connection = send_away(session, "resource-constraint", "You do not take what you are sent");
		if connection then
			connection:close(); -- once more, as it waits until what was written is taken
		end
	end);
end

local function count_output(session, bytes)
	local counts = session.session_rate;
	counts.output = counts.output + bytes;
	if counts.output > LOOK then
		counts.output = 0;
		if not counts.is_full and unsent_of(session) > most_unsent then
			give_up(session);
		end
	end
end

-- Before mod_smacks. What is written to a connection is counted there, as it has been made a text
local function watch_stanzas(stanza, session)
	if session.session_rate.is_full then
		return nil;
	end
	local buffer = session.send_buffer;
	if session.hibernating or buffer and session.smacks then
		count_output(session, type(stanza) == "string" and #stanza or size_of(stanza));
	elseif buffer and buffer[1] then
		count_output(session, #buffer[#buffer]);
	end
	return stanza;
end

local function watch_bytes(text, session)
	count_output(session, #text);
	return text;
end

-- After mod_smacks, which has counted what is dropped here.
module:hook("authentication-success", function (event)
	local session = event.session;
	session.session_rate = { output = 0 };
	filters.add_filter(session, "stanzas/in", check, 900);
	filters.add_filter(session, "stanzas/out", watch_stanzas, 900);
	filters.add_filter(session, "bytes/out", watch_bytes, -900);
end);
