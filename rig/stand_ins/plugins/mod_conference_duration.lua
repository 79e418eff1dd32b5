-- Stand-in (test double) for Jitsi's mod_conference_duration: not Jitsi's code.
-- Tells since when a room has had two occupants.
local util = module:require "util";

local main_muc = module:get_option_string("main_muc");
if not main_muc then
	module:log("error", "main_muc has to be set");
	return;
end

util.process_muc(main_muc, function (context)
	context:hook("muc-occupant-joined", function (event)
		local room, occupants = event.room, 0;
		for _ in room:each_occupant() do
			occupants = occupants + 1;
		end
		if occupants > 1 and not room.created_timestamp then
			room.created_timestamp = ("%d000"):format(os.time()); -- milliseconds
		end
	end, -1);

	context:hook("muc-disco#info", function (event)
		table.insert(event.form, { name = "muc#roominfo_created_timestamp", type = "text-single",
			label = "Start of the meeting", value = event.room.created_timestamp or "" });
	end);
end);

local component = module:get_option_string("conference_duration_component", "conferenceduration." .. module.host);
module:add_identity("component", "conference_duration", component);
