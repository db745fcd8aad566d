"""What people read, in English and Chinese: pages, workbooks, closing lines."""
