-- Keeps those who flood the server with logins from keeping others out.
--
-- A login costs Prosody some milliseconds, right or wrong, and Prosody is one process. So:
-- * The library that decodes tokens for Jitsi's plugins does it bit by bit in Lua, which took five
--   sixths of the time of a login. It is given Prosody's decoder, which is written in C.
-- * Whoever was refused is done: the session ends at once. BOSH would keep it for a minute.
-- * While there are more refusals than Prosody can well afford, or half as many and those who come wait,
--   a login has to show a token that was signed with our key and has not expired, before a session is
--   made for it. Who has none may still come in as a guest, unless a login from the same address was
--   refused just before. The others get HTTP 429, which costs a small part of a login, and one line
--   in the log counts them all. nginx remembers who got it, and sends them by a way of their own.
-- * What is no login counts as refused: other requests than those of BOSH, requests of sessions that
--   there are not, sessions that never log in.
-- * Markup takes most of the time of a text: one request can hold tens of thousands of elements. What a
--   session and an address send of it is bounded before it is read; who sends more is sent away.
-- * Sessions without a login are bounded: how many one address makes, how many there are, how long
--   they last. Where there are too many, the oldest go.
--
-- Goes on the VirtualHost with the tokens, for all hosts that people reach by BOSH and WebSocket.
-- Direct connections are not looked at. Tokens are verified with the keys of mod_token_keys. With another
-- `signature_algorithm` or keys from a server there are none, and all tokens count as wrong in a flood.
--
-- Options (VirtualHost or global):
--   login_guard_refusals    refused logins a second from which on there is a flood, 40; as many as in
--                           two seconds may come at once
--   login_guard_sessions    sessions that one address makes a second, 50; as many as in 20 seconds
--                           may come at once, for people behind one NAT share it
--   login_guard_requests    requests over BOSH that one address makes a second, 500, of which each
--                           person needs some
--   login_guard_markup      elements and attributes that one address sends a second, 20000
--   login_guard_waiting     sessions without a login, 2000
--   login_guard_timeout     seconds in which a session has to log in, 20
-- As auth_token has them: signature_algorithm, asap_key_server, cache_keys_url.
local base64 = require "util.encodings".base64;
local basexx = require "basexx";
local cache = require "util.cache";
local filters = require "util.filters";
local formdecode = require "util.http".formdecode;
local gettime = require "util.time".now;
local hashes = require "util.hashes";
local http_server = require "net.http.server";
local json = require "util.json";
local nameprep = require "util.encodings".stringprep.nameprep;
local new_throttle = require "util.throttle".create;

local household_of = module:require "household";

local refusals_rate = module:get_option_number("login_guard_refusals", 40);
local sessions_rate = module:get_option_number("login_guard_sessions", 50);
local requests_rate = module:get_option_number("login_guard_requests", 500);
local markup_rate = module:get_option_number("login_guard_markup", 20000);
local max_waiting = module:get_option_number("login_guard_waiting", 2000);
local timeout = module:get_option_number("login_guard_timeout", 20);
local bosh_sessions = module:shared("/*/bosh/sessions");
local keys; -- nil where auth_token takes others, or may
if module:get_option_string("signature_algorithm", "HS256") == "HS256"
	and not module:get_option_string("asap_key_server") and not module:get_option_string("cache_keys_url") then
	keys = module:depends("token_keys");
end

local XMLNS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl";
local ADDRESSES = 10000; -- of which something is known, so that the memory is bounded
local SUSPECT = 10; -- seconds for which an address counts as one that was refused
local AT_ONCE = 5; -- sessions that an address may have without a login or a token, during a flood
local FIRST_WORDS = 20; -- elements that a session sends before its login, which takes one or two
-- Elements and attributes, of which each takes some 20 microseconds
local MARKUP, MARKUP_RATE = 10000, 3000; -- of a session in a row, and further ones a second
local FIRST_MARKUP = 200; -- at once before the login, which takes some dozen
local NO_SESSION = 1; -- seconds after which a request that made no session counts as refused
local LATE = 0.3; -- seconds between nginx and here, which take less than a millisecond
local LEEWAY = 60; -- seconds; how long a token is taken after its end, others decide
local SUMMARY = 10; -- seconds between two lines about those who were turned away
-- Seconds. The answers of BOSH take ways of their own, and the refusal has to come before the end.
local BOSH_GRACE = 0.2;

local refusals = new_throttle(2 * refusals_rate, 2);
local addresses = cache.new(ADDRESSES);
local refused_tokens = cache.new(ADDRESSES); -- their hashes; we may have signed them all the same
local turned_away, turned_away_by = 0, {};

local function address_of(ip)
	local name = household_of(ip);
	local address = addresses:get(name);
	if not address then
		address = { name = name,
			sessions = new_throttle(20 * sessions_rate, 20), requests = new_throttle(2 * requests_rate, 2),
			markup = new_throttle(2 * markup_rate, 2), refused = -SUSPECT, waiting = 0 };
		addresses:set(name, address);
	end
	return address;
end

-- Sessions without a login, the oldest first. What is settled leaves a gap until the head passes it.
local waiting, head, tail = {}, 1, 0;
local waiting_count = 0;

local function settle(entry)
	if not entry.settled then
		entry.settled, entry.token = true, nil;
		entry.address.waiting = entry.address.waiting - 1;
		waiting_count = waiting_count - 1;
	end
end

-- Also true of a session that is gone.
local function has_settled(entry)
	if entry.session.type ~= "c2s_unauthed" then
		settle(entry);
	end
	return entry.settled;
end

local function skip_settled()
	while head <= tail and has_settled(waiting[head]) do
		waiting[head] = nil;
		head = head + 1;
	end
	return waiting[head];
end

local function close(entry, reason)
	settle(entry);
	if entry.session.type == "c2s_unauthed" then
		entry.session:close(reason);
	end
end

local function count_refusal(address, since)
	refusals:poll(1, true);
	address.refused = since;
end

-- It had its time or its place, and did not log in.
local function give_up(entry, reason)
	count_refusal(entry.address, entry.since);
	close(entry, reason);
end

local function token_of(request)
	local header = request.headers.authorization;
	local query = request.url and request.url.query;
	local params = query and formdecode(query);
	return type(params) == "table" and params.token or header and header:sub(8) or nil;
end

-- Decodes base64url (RFC 4648, section 5) without padding.
local function decode(text)
	return base64.decode(text:gsub("-", "+"):gsub("_", "/") .. ("="):rep(-#text % 4));
end

-- The same for the plugins. What is not well formed is left to the library, with what it makes of it.
local slow_decode = basexx.from_url64;
function basexx.from_url64(text, ...)
	if type(text) == "string" and select("#", ...) == 0 and #text % 4 ~= 1
		and not text:find("[^A-Za-z0-9_-]") then
		return decode(text);
	end
	return slow_decode(text, ...);
end
function module.unload()
	basexx.from_url64 = slow_decode;
end

local function object_of(part)
	local value = json.decode(decode(part) or "");
	return type(value) == "table" and value or nil;
end

-- Whether we signed this token, and it has not expired, nor been refused before.
local function is_valid(token)
	local signed, first, second, signature = token:match("^(([%w_-]+)%.([%w_-]+))%.([%w_-]+)$");
	local header, bytes = signed and object_of(first), signature and decode(signature);
	if not keys or not header or not bytes or not keys.keys_of(header, signed, bytes, os.time()) then
		return false;
	end
	local claims = object_of(second);
	local exp = claims and claims.exp;
	return type(exp) == "number" and exp > os.time() - LEEWAY and not refused_tokens:get(hashes.sha256(token));
end

-- Whether this much may be read of an address, and of its session where it has one.
local function may_say(text, address, session)
	local _, markup = text:gsub("[<=]", "%0");
	if not session or session.type == "c2s_unauthed" then
		return markup <= FIRST_MARKUP and address.markup:poll(markup);
	elseif not session.login_guard_markup then
		session.login_guard_markup = new_throttle(MARKUP, MARKUP / MARKUP_RATE);
	end
	return session.login_guard_markup:poll(markup) and address.markup:poll(markup);
end

local function send_away(session)
	session:close { condition = "policy-violation", text = "You send too much" };
end

-- Whether more come than Prosody can take. Those that wait may all be refused. nginx says when it had
-- the request; that it waited counts only beside refusals, as other work slows a machine as well.
local function is_flooded(request)
	local sent = tonumber(request.headers.x_request_start);
	local is_late = sent and gettime() - sent > LATE;
	return not refusals:peek(1 + waiting_count) or is_late and not refusals:peek(refusals_rate);
end

-- Whether a session may be made for this request.
local function may_begin(request, address)
	local in_time = address.sessions:poll(1);
	if in_time and not is_flooded(request) then
		return true;
	end
	local token = token_of(request);
	if token then
		return is_valid(token);
	end
	return in_time and gettime() - address.refused > SUSPECT and address.waiting < AT_ONCE;
end

-- Whoever is turned away is one more, so that a flood lasts as long as they come.
local function turn_away(address)
	refusals:poll(1, true);
	turned_away = turned_away + 1;
	turned_away_by[address.name] = (turned_away_by[address.name] or 0) + 1;
	return { status_code = 429, headers = { retry_after = tostring(SUSPECT) }, body = "" };
end

local function admit(event)
	local request = event.request;
	local address = address_of(request.ip);
	if not may_begin(request, address) then
		return turn_away(address);
	end
	request.login_guard = address;
	module:add_timer(NO_SESSION, function ()
		if request.login_guard then
			count_refusal(address, gettime());
		end
	end);
end

-- What is no login costs Prosody as much.
local function answer_unless_flooded(event)
	refusals:poll(1, true);
	if is_flooded(event.request) then
		return turn_away(address_of(event.request.ip));
	end
end

-- The attributes of a request of BOSH (XEP-0124, section 7), or nil where it is none. Each character is
-- looked at a bounded number of times, as anybody may send this.
local function attributes_of(body)
	local text = body:gsub("^%s*<%?xml[^>]*%?>", "", 1);
	local attributes, from = text:match("^%s*<body(%s[^>]*)"), 1;
	local found = attributes and {};
	while attributes do
		local _, last, name, quote = attributes:find("^%s+([^%s=]+)%s*=%s*([\"'])", from);
		local stop = last and attributes:find(quote, last + 1, true);
		if not stop then
			break;
		end
		found[name] = attributes:sub(last + 1, stop - 1);
		from = stop + 1;
	end
	return found;
end

-- What mod_bosh stumbles over, which fills the log with tracebacks
local function is_well_formed(attributes)
	local rid, to = attributes.rid, attributes.to;
	return rid and rid:find("^%d+$") and #rid <= 16 and (attributes.sid or not to or nameprep(to) == to);
end

for _, path in ipairs { "/xmpp-websocket", "/xmpp-websocket/" } do
	module:hook_object_event(http_server, "HEAD " .. path, answer_unless_flooded, 1000);
	module:hook_object_event(http_server, "GET " .. path, function (event)
		local is_login = event.request.headers.upgrade;
		return (is_login and admit or answer_unless_flooded)(event);
	end, 1000);
end
for _, path in ipairs { "/http-bind", "/http-bind/" } do
	for _, method in ipairs { "GET ", "HEAD ", "OPTIONS " } do -- all that nginx lets through
		module:hook_object_event(http_server, method .. path, answer_unless_flooded, 1000);
	end
	module:hook_object_event(http_server, "POST " .. path, function (event)
		local address = address_of(event.request.ip);
		if not address.requests:poll(1) then
			return turn_away(address);
		end
		local body = event.request.body or "";
		local attributes = attributes_of(body);
		local session = attributes and bosh_sessions[attributes.sid or ""];
		if not may_say(body, address, session) then
			if session then
				send_away(session);
			end
			return { status_code = 413, body = "" };
		elseif not attributes or not is_well_formed(attributes) then
			return answer_unless_flooded(event) or { status_code = 400, body = "" };
		elseif not attributes.sid then
			return admit(event);
		elseif not session then
			return answer_unless_flooded(event);
		end
	end, 1000);
end

-- Nobody needs to know that somebody came who was not let in.
local function without_noise(session)
	local log = session.log;
	return function (level, ...)
		if level ~= "info" or session.type ~= "c2s_unauthed" then
			return log(level, ...);
		end
	end;
end

local function watch(event)
	local session, address = event.session, event.request.login_guard;
	local entry = { session = session, since = gettime(), token = token_of(event.request),
		address = address or address_of(event.request.ip) };
	waiting_count, entry.address.waiting = waiting_count + 1, entry.address.waiting + 1;
	if not address then
		-- It named another session, and got one of its own all the same
		return give_up(entry);
	end
	event.request.login_guard = nil; -- a session came of it
	tail = tail + 1;
	waiting[tail] = entry;
	session.log = without_noise(session);
	if session.websocket_request then
		-- After mod_websocket has taken the text out of its frames
		filters.add_filter(session, "bytes/in", function (text)
			if not text or may_say(text, address, session) then
				return text;
			end
			send_away(session);
			return nil;
		end, -1);
	end
	-- One body may hold many attempts and other stanzas, and each of them costs as much
	local said = 0;
	filters.add_filter(session, "stanzas/in", function (stanza)
		if not entry.is_refused and not has_settled(entry) then
			said = said + 1;
			if said > FIRST_WORDS then
				entry.is_refused = true;
				give_up(entry, { condition = "policy-violation", text = "You do not log in" });
			end
		end
		return not entry.is_refused and stanza or nil;
	end, 1000);
	filters.add_filter(session, "stanzas/out", function (stanza)
		if entry.settled then
			return stanza;
		end
		if not has_settled(entry) and type(stanza) == "table" and stanza.name == "failure"
			and stanza.attr.xmlns == XMLNS_SASL then
			entry.is_refused = true;
			if entry.token then
				refused_tokens:set(hashes.sha256(entry.token), true);
			end
			settle(entry);
			count_refusal(address, entry.since);
			module:add_timer(session.websocket_request and 0 or BOSH_GRACE, function ()
				close(entry);
			end);
		end
		return stanza;
	end, 1000);
	if waiting_count > max_waiting then
		give_up(skip_settled(), { condition = "resource-constraint" });
	end
end

module:hook_global("websocket-session", watch, 1000);
module:hook_global("bosh-session", watch, 1000);

module:add_timer(1, function ()
	local now = gettime();
	local oldest = skip_settled();
	while oldest and now - oldest.since > timeout do
		give_up(oldest, "connection-timeout");
		oldest = skip_settled();
	end
	return 1;
end);

module:add_timer(SUMMARY, function ()
	if turned_away > 0 then
		local number, most = 0, nil;
		for name, times in pairs(turned_away_by) do
			number = number + 1;
			if not most or times > turned_away_by[most] then
				most = name;
			end
		end
		module:log("warn", "Too many logins: turned away %d from %d addresses in %d seconds, %d of them from %s",
			turned_away, number, SUMMARY, turned_away_by[most], most);
		turned_away, turned_away_by = 0, {};
	end
	return SUMMARY;
end);
