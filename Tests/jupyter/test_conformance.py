"""jupyter_kernel_test, the conformance suite of Jupyter's project, with samples for all that it can ask."""

import jupyter_kernel_test


class LullKernelTests(jupyter_kernel_test.KernelTests):
    kernel_name = "lull"
    language_name = "python"
    file_extension = ".py"

    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"

    completion_samples = [
        {"text": "softm", "matches": {"softmax"}},
        {"text": "mx.softm", "matches": {"mx.softmax"}},
        {"text": "zi", "matches": {"zip"}},
        {"text": "%who", "matches": {"%who", "%whos"}},
    ]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n", "x = [1,\n2]", "%who"]
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2", "x = [1,", "for i in range(3):"]
    invalid_code_samples = ["import = 7q", "x = )", "%no_such_command"]

    code_generate_error = "raise ValueError('no')"
    code_execute_result = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
        {"code": "array([1, 2]) * 2", "result": "array([2, 4], dtype=int32)"},
    ]
    code_display_data = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))", "mime": "text/latex"},
        {"code": "from IPython.display import SVG, display; display(SVG('<svg></svg>'))", "mime": "image/svg+xml"},
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"
    invalid_expression = "1+"
