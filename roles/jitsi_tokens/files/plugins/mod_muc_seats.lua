-- A seat in a room belongs to one person.
--
-- Where somebody asks for a nick that is taken, Prosody fires its events with the occupant who has it,
-- and finds the conflict only after all modules have had their say. By then upstream's
-- token_affiliation has made that occupant what the newcomer's token says: an owner is demoted by a
-- member, a member promoted by an owner, and others decide about the wrong person as well. So a
-- conflict is found first.
--
-- Goes on every MUC in which people are. No options.
local jid = require "util.jid";
local refuse = module:require "refuse";

local function refuse_taken(event)
	local occupant = event.dest_occupant or event.occupant;
	if occupant.bare_jid ~= jid.bare(event.stanza.attr.from) then
		return refuse(event, "cancel", "conflict", "Somebody else has this nick", event.room.jid);
	end
end

-- After the checks that look at the stanza alone, token_verification (99) among them, and before
-- everything that looks at the occupant
module:hook("muc-occupant-pre-join", refuse_taken, 60);
module:hook("muc-occupant-pre-change", refuse_taken, 60);
