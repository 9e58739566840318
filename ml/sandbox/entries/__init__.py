"""What a child of the sandbox can be asked to do: one module each, with `answer(request) -> (line, bytes)`.

An entry is the sandbox of hostile bytes, so it catches every exception: readers raise more than nine types of them on
bad files.
"""
