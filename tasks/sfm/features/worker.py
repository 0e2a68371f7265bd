"""Networks in a child process: this and what it imports touch torch and Pillow, never pycolmap."""
