local function run()
  local parts = {}
  for i = 0, 59999 do parts[#parts + 1] = "item " .. i .. ": " .. i * 2 end
  local s = table.concat(parts, ", ")
  local buffer = {}
  for i = 0, 59999 do buffer[#buffer + 1] = "x" .. i end
  local t = table.concat(buffer)
  local u = s:upper():gsub("ITEM", "thing")
  local _, things = u:gsub("thing", "thing")
  local pieces = {}
  for piece in (s .. ", "):gmatch("(.-), ") do pieces[#pieces + 1] = piece end
  return #s, #t, things, #pieces
end
print(run())
