import subprocess
import sys


def test_ctrl_c_before_the_commands_are_imported_leaves_no_traceback():
    words = [
        "import signal, sys",
        "signal.signal(signal.SIGINT, signal.default_int_handler)",  # whoever started us may have it ignored
        "from node.cli.entry import main",
        "sys.meta_path.insert(0, type('Slow', (), {'find_spec': lambda *a: signal.raise_signal(signal.SIGINT)})())",
        "main()",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(words)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "grapevine: interrupted\n")
