local function run(n)
  local total = 0
  for i = 0, n - 1 do
    for j = 0, n - 1 do total = (total + i * j) % 1000003 end
  end
  return total
end
print(run(1200))
