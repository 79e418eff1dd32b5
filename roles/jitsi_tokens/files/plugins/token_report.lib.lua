-- Writes into the log why a token did not count: which claim, what was expected and what came.
--
-- Use: local report = module:require "token_report"; report.write("iss is %s", report.quote(value));
-- What came is somebody else's text. It is cut, a token in it is left out, and nothing in it moves the
-- cursor or the direction of a line. Of many in a short time some are written and the rest are counted.
local new_throttle = require "util.throttle".create;
local valid_utf8 = require "util.encodings".utf8.valid;

local AT_ONCE, SECONDS = 20, 10; -- lines in a row, and in so many seconds after that
local WIDTH = 64; -- bytes of a name
local MEMBERS = 3; -- of a list

local lines = new_throttle(AT_ONCE, SECONDS);
local left_out = 0;

-- Controls of ASCII and of Unicode: C1, marks and overrides of direction, separators, the byte order mark
local function without_controls(text)
	text = text:gsub("[%c\"]", "?");
	if not valid_utf8(text) then
		return (text:gsub("[\128-\255]", "?"));
	end
	return (text:gsub("\194[\128-\159]", "?"):gsub("\226\128[\139-\143\168-\175]", "?")
		:gsub("\226\129[\160-\175]", "?"):gsub("\239\187\191", "?"));
end

local function cut(text)
	if #text <= WIDTH then
		return text;
	end
	local last = WIDTH;
	while last > 0 and text:byte(last + 1) >= 128 and text:byte(last + 1) < 192 do
		last = last - 1; -- not within a character
	end
	return text:sub(1, last) .. "...";
end

local function quote(value)
	if type(value) == "string" then
		value = value:gsub("eyJ[%w_-]+[%w_.-]*", "(token removed)");
		return '"' .. cut(without_controls(value)) .. '"';
	elseif value == nil then
		return "missing";
	elseif type(value) ~= "table" then
		return cut(tostring(value));
	elseif #value == 0 then
		return "an object";
	end
	local members = {};
	for i = 1, math.min(#value, MEMBERS) do
		members[i] = type(value[i]) == "table" and "..." or quote(value[i]);
	end
	if #value > MEMBERS then
		table.insert(members, "...");
	end
	return "[" .. table.concat(members, ", ") .. "]";
end

local function write(text, ...)
	lines:update(); -- or what it saved up before comes on top
	if not lines:poll(1) then
		left_out = left_out + 1;
		return;
	end
	text = text:format(...);
	if left_out > 0 then
		text = ("%s (and %d more that are not listed)"):format(text, left_out);
		left_out = 0;
	end
	module:log("warn", "%s", text);
end

return { quote = quote, write = write };
