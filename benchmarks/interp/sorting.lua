local function run()
  local x, a = 12345, {}
  for i = 1, 100000 do
    x = (x * 1103515245 + 12345) % 2147483648
    a[i] = x
  end
  local b = table.move(a, 1, #a, 1, {})
  table.sort(b)
  local c = table.move(a, 1, #a, 1, {})
  table.sort(c, function(v, w) return -v < -w end)
  local d = {}
  for i, v in ipairs(a) do d[i] = { v % 100, v } end
  table.sort(d, function(v, w)
    if v[1] ~= w[1] then return v[1] < w[1] end
    return v[2] < w[2]
  end)
  local e = {}
  for i, v in ipairs(a) do e[i] = tostring(v) end
  table.sort(e)
  return b[501], c[501], d[501][1], e[501]
end
print(run())
