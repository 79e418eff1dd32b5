-- What it takes to send a stanza on, in bytes of text: each element and attribute takes as long as MARKUP
-- bytes.
--
-- Use: local size_of = module:require "size_of";
local MARKUP = 40;

return function (stanza)
	local size, open, count = 0, { stanza }, 1;
	while count > 0 do -- a stanza may be deeper than functions can call themselves
		local element = open[count];
		count = count - 1;
		size = size + MARKUP;
		for _, value in pairs(element.attr) do
			size = size + MARKUP + #value;
		end
		for index = 1, #element do
			local child = element[index];
			if type(child) == "string" then
				size = size + #child;
			else
				count = count + 1;
				open[count] = child;
			end
		end
	end
	return size;
end;
