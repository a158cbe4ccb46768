local t0 = os.clock()

local function fib(n)
  if n < 2 then return n end
  return fib(n - 1) + fib(n - 2)
end
print(fib(27))

io.stderr:write(string.format("inner %.6f\n", os.clock() - t0))
