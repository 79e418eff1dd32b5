-- What it takes to send a stanza on, in bytes of text as XML has it, where a quote becomes six: each
-- element and attribute takes as long as MARKUP bytes.
--
-- Use: local size_of = module:require "size_of";
local MARKUP = 40;
local ESCAPED = 5; -- bytes more than the character itself, at most

local function length_of(text)
	local _, escaped = text:gsub("[&<>\"']", "%0");
	return #text + ESCAPED * escaped;
end

return function (stanza)
	local size, open, count = 0, { stanza }, 1;
	while count > 0 do -- a stanza may be deeper than functions can call themselves
		local element = open[count];
		count = count - 1;
		size = size + MARKUP;
		for _, value in pairs(element.attr) do
			size = size + MARKUP + length_of(value);
		end
		for index = 1, #element do
			local child = element[index];
			if type(child) == "string" then
				size = size + length_of(child);
			else
				count = count + 1;
				open[count] = child;
			end
		end
	end
	return size;
end;
