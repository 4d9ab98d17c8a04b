"""Limits, each with its reason. Limits that an operator may want to change are settings."""

MIB = 1024**2
GIB = 1024**3

# Archive: checked in the central directory before anything is written, and enforced while inflating.
MAX_ENTRIES = 300_000  # three files for each image of the largest supported set (100,000 images)
MAX_ENTRY_BYTES = 2 * GIB  # no labelled image is larger; an entry whose declared size is false is cut here
MAX_TOTAL_BYTES = 200 * GIB  # inflated
MAX_RATIO = 200  # deflate's best on real XML is about 20; a bomb has 1,000
RATIO_FREE_BYTES = MIB  # entries below this size may have any ratio
# The archive as a whole: MAX_RATIO beyond this allowance. Photographs have 1 (as BMP 2), labels in XML, JSON and text
# 2 to 20, BMP images of ten plain figures 240 and of one 690: 500 of the plainest with 640 x 480 pixels pass.
RATIO_FREE_TOTAL_BYTES = 256 * MIB
MAX_NAME_BYTES = 1024
MAX_DEPTH = 32
# Sums over all distinct folders: their levels, and the characters of each name at each of its levels. A folder takes up
# to 1 KB of memory a level: this allows 100,000 folders five deep, with names of 200 characters.
MAX_FOLDER_LEVELS = 500_000
MAX_FOLDER_CHARACTERS = 100_000_000

# XML: a VOC annotation of 1,000 boxes has about 300 KB.
MAX_XML_BYTES = 8 * MIB
MAX_XML_DEPTH = 32

# Images
MAX_IMAGE_PIXELS = 200_000_000  # 200 megapixels: four times the largest camera image; a bomb has more
MAX_IMAGE_BYTES = 512 * MIB

# More names than the largest public dataset of boxes has (9,000): a column of captions, or of file names.
MAX_CLASSES = 10_000
CLASSES_LISTED = 100  # in an answer about a job, beside their number: no answer grows with the dataset

# Boxes. Aerial images of public datasets have some thousands; a box takes up to 0.5 KB while a dataset is prepared.
MAX_BOXES_PER_IMAGE = 50_000
MAX_BOXES = 3_000_000  # 30 in each image of the largest supported set
MAX_LISTED_IMAGES = 500_000  # in one annotation file: it may be that of a larger dataset than the archive has

# Findings: all are counted, at most these are kept with their text, which takes 0.4 KB. A script that writes one line
# wrongly writes all of them wrongly, and nobody reads the second thousand.
MAX_FINDINGS_KEPT = 100_000
MAX_FINDINGS_OF_CODE = 10_000
MAX_FINDINGS_OF_IMAGE = 1_000  # of a code, in the annotation of one image

MIN_IMAGES = 3  # one for each of train, val and test
SKIP_MIN_REMAINING = 0.9  # on_error=skip: this fraction of the images must remain

# Leases
MAX_LOST_LEASES = 3  # without a new checkpoint in between; then the job or run fails: worker-lost
MAX_REFUSALS = 5  # by the store or a full disk, with pauses of 10, 20, 40 and 80 s: a new permission takes effect

# Waiting and paging
MAX_WAIT_SECONDS = 60  # shorter than the idle timeout of common proxies
MAX_PAGE = 500
DEFAULT_PAGE = 50

# Projects
MAX_DESCRIPTION = 10_000  # characters: four pages
