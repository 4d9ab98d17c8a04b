"""The same small set of boxes in every format whose annotation files list images by name."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.dataset.boxes import in_pixels
from pipeline.dataset.model import Dataset
from tests.builders.voc import SIZE, Files, annotation, image_bytes

PixelBox = tuple[str, float, float, float, float]  # class, then left, top, right, bottom in pixels
Truth = dict[str, list[PixelBox]]  # image name -> its boxes

W, H = SIZE
CSV_HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"


def truth(count: int = 4, *, folder: str = "images/") -> Truth:
    return {
        f"{folder}p{number:02d}.jpg": [("ball", 8.0 + number, 10.0, 32.0, 26.5), ("cube", 40.0, 20.0, 72.0, 52.0)]
        for number in range(count)
    }


def images(names: Iterable[str]) -> Files:
    return {name: image_bytes(seed=number) for number, name in enumerate(names)}


def csv_files(boxes: Truth | None = None, *, name: str = "annotations.csv") -> Files:
    """As converters of Pascal VOC to CSV write it."""
    boxes = truth() if boxes is None else boxes
    rows = [CSV_HEADER]
    for image, of_image in boxes.items():
        base = image.rpartition("/")[2]
        rows += [f"{base},{SIZE[0]},{SIZE[1]},{label},{x1},{y1},{x2},{y2}" for label, x1, y1, x2, y2 in of_image]
    return images(boxes) | {name: ("\n".join(rows) + "\n").encode()}


def jsonl_files(boxes: Truth | None = None) -> Files:
    """As the hub's imagefolder has it."""
    boxes = truth() if boxes is None else boxes
    lines = []
    for image, of_image in boxes.items():
        bbox = [[x1, y1, x2 - x1, y2 - y1] for _, x1, y1, x2, y2 in of_image]
        record = {"file_name": image, "objects": {"bbox": bbox, "categories": [box[0] for box in of_image]}}
        lines.append(json.dumps(record))
    return images(boxes) | {"metadata.jsonl": "\n".join(lines).encode()}


def azure_files(boxes: Truth) -> Files:
    lines = []
    for image, of_image in boxes.items():
        label = [
            {"label": name, "topX": x1 / W, "topY": y1 / H, "bottomX": x2 / W, "bottomY": y2 / H, "isCrowd": 0}
            for name, x1, y1, x2, y2 in of_image
        ]
        details = {"format": "jpg", "width": W, "height": H}
        url = f"AmlDatastore://workspaceblobstore/set/{image}"
        lines.append(json.dumps({"image_url": url, "image_details": details, "label": label}))
    return images(boxes) | {"labels.jsonl": "\n".join(lines).encode()}


def labelme_files(boxes: Truth | None = None) -> Files:
    """A JSON beside each image, with its bytes in it."""
    boxes = truth() if boxes is None else boxes
    files: Files = {}
    for image, of_image in boxes.items():
        shapes = [labelme_shape(label, [[x1, y1], [x2, y2]]) for label, x1, y1, x2, y2 in of_image]
        files[f"{image[:-4]}.json"] = labelme_json(image.rpartition("/")[2], shapes)
    return images(boxes) | files


def labelme_shape(label: Any, points: Any, kind: str | None = "rectangle") -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}


def labelme_json(image: str, shapes: list[dict[str, Any]]) -> bytes:
    document = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": "AAAA" * 100}
    return json.dumps(document | {"imageHeight": H, "imageWidth": W}, indent=2).encode()


def cub_files(count: int = 4) -> Files:
    """As CUB-200-2011: tables of ids beside the images, with boxes and parts."""
    classes = ("001.Black_footed_Gull", "002.Laysan_Gull")
    paths = [f"{classes[number % 2]}/Gull_{number:04d}.jpg" for number in range(count)]
    tables = {
        "images.txt": [f"{number} {path}" for number, path in enumerate(paths, start=1)],
        "image_class_labels.txt": [f"{number} {(number - 1) % 2 + 1}" for number in range(1, count + 1)],
        "classes.txt": [f"{number} {name}" for number, name in enumerate(classes, start=1)],
        "train_test_split.txt": [f"{number} {int(number > 1)}" for number in range(1, count + 1)],
        "bounding_boxes.txt": [f"{number} 10.0 12.0 30.0 20.0" for number in range(1, count + 1)],
        "parts/part_locs.txt": [f"{number} 1 10.0 12.0 1" for number in range(1, count + 1)],
    }
    files = images(f"CUB/images/{path}" for path in paths)
    return files | {f"CUB/{name}": "".join(f"{row}\n" for row in rows).encode() for name, rows in tables.items()}


def pet_files(count: int = 8, *, with_xml: int = 0, trimaps: bool = True) -> Files:
    """As Oxford-IIIT Pet; every fourth image is in test. `with_xml`: so many images have one."""
    breeds = ("Abyssinian", "american_bulldog")
    stems = [f"{breeds[at % 2]}_{at + 1}" for at in range(count)]
    rows = {stem: f"{stem} {at % 2 + 1} {at % 2 + 1} 1" for at, stem in enumerate(stems)}
    of_test = stems[::4]
    lists = {
        "list": ["#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids", *rows.values()],
        "trainval": [row for stem, row in rows.items() if stem not in of_test],
        "test": [rows[stem] for stem in of_test],
    }
    files = images(f"pets/images/{stem}.jpg" for stem in stems)
    files |= {
        f"pets/annotations/trimaps/{stem}.png": image_bytes(seed=90 + at, format="PNG")
        for at, stem in enumerate(stems if trimaps else [])
    }
    files |= {
        f"pets/annotations/xmls/{stem}.xml": annotation(f"{stem}.jpg", [("cat", 5, 5, 60, 40)])
        for stem in stems[:with_xml]
    }
    return files | {f"pets/annotations/{name}.txt": "\n".join(found).encode() for name, found in lists.items()}


def cvat_files(boxes: Truth | None = None) -> Files:
    boxes = truth() if boxes is None else boxes
    shapes = {
        image: [f'<box label="{b[0]}" xtl="{b[1]}" ytl="{b[2]}" xbr="{b[3]}" ybr="{b[4]}"/>' for b in of_image]
        for image, of_image in boxes.items()
    }
    return images(boxes) | {"annotations.xml": cvat_xml(shapes)}


def cvat_xml(shapes: Mapping[str, Iterable[str]], *, head: str = "", subsets: Mapping[str, str] | None = None) -> bytes:
    """`shapes`: name of an image -> its elements, each in a line of its own."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', head, "<annotations>", "<version>1.1</version>", "<meta/>"]
    for number, (image, of_image) in enumerate(shapes.items()):
        subset = f' subset="{subsets[image]}"' if subsets else ""
        lines.append(f'<image id="{number}" name="{image}"{subset} width="{W}" height="{H}">')
        lines += [*of_image, "</image>"]
    return "\n".join([*lines, "</annotations>"]).encode()


def label_studio_files(boxes: Truth | None = None, *, path: str = "/data/upload/1/3f2a9c1b-{base}") -> Files:
    """As exported after an upload, which puts eight letters before the name of a file."""
    boxes = truth() if boxes is None else boxes
    tasks = []
    for image, of_image in boxes.items():
        regions = [
            region(label, x=x1 / W * 100, y=y1 / H * 100, width=(x2 - x1) / W * 100, height=(y2 - y1) / H * 100)
            for label, x1, y1, x2, y2 in of_image
        ]
        tasks.append(task(path.format(base=image.rpartition("/")[2], image=image), regions))
    return images(boxes) | {"export.json": json.dumps(tasks, indent=1).encode()}


def label_studio_min_files(boxes: Truth | None = None) -> Files:
    """As JSON-MIN: one flat record for each annotation."""
    boxes = truth() if boxes is None else boxes
    records = []
    for image, of_image in boxes.items():
        regions = [
            {"x": x1 / W * 100, "y": y1 / H * 100, "width": (x2 - x1) / W * 100, "height": (y2 - y1) / H * 100}
            | {"rotation": 0, "rectanglelabels": [label], "original_width": W, "original_height": H}
            for label, x1, y1, x2, y2 in of_image
        ]
        path = f"/data/upload/1/3f2a9c1b-{image.rpartition('/')[2]}"
        records.append({"image": path, "id": 1, "label": regions, "annotator": 1, "annotation_id": 1, "lead_time": 3.2})
    return images(boxes) | {"export.json": json.dumps(records, indent=1).encode()}


def choice_files(classes: Mapping[str, str], *, flat: bool = False) -> Files:
    """Label Studio's export of one choice for each image. `flat`: as JSON-MIN."""
    tasks: list[dict[str, Any]] = []
    for image, label in classes.items():
        path = f"/data/upload/1/3f2a9c1b-{image.rpartition('/')[2]}"
        chosen = {"type": "choices", "from_name": "choice", "to_name": "image", "value": {"choices": [label]}}
        flat_record = {"image": path, "id": 1, "choice": label, "annotator": 1, "annotation_id": 1}
        tasks.append(flat_record if flat else task(path, [chosen]))
    return images(classes) | {"export.json": json.dumps(tasks, indent=1).encode()}


def task(image: str, regions: Any, **changes: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"id": 1, "result": regions}]} | changes


def region(label: Any, kind: str = "rectanglelabels", **value: Any) -> dict[str, Any]:
    labels = label if isinstance(label, list) else [label]
    size = {"original_width": W, "original_height": H, "image_rotation": 0}
    return {"id": "a", "type": kind, **size, "value": {"rotation": 0, kind: labels} | value}


def class_table_files(classes: Mapping[str, str], *, name: str = "metadata.csv") -> Files:
    """`classes`: path below the table's folder -> class."""
    folder = name.rpartition("/")[0]
    paths = [f"{folder}/{path}".lstrip("/") for path in classes]
    rows = ["file_name,label", *(f"{path},{label}" for path, label in classes.items())]
    return images(paths) | {name: "\n".join(rows).encode()}


def boxes_read(dataset: Dataset, size: tuple[int, int] = SIZE) -> Truth:
    """Image name -> its boxes in pixels to a thousandth, in the order of the file."""
    return {
        item.image.name: [
            (box.label, box.x1 / 1000, box.y1 / 1000, box.x2 / 1000, box.y2 / 1000)
            for box in in_pixels(item.boxes, item.coordinates, *size)
        ]
        for item in dataset.items
    }


def close(left: Mapping[str, list[PixelBox]], right: Mapping[str, list[PixelBox]], within: float = 0.01) -> bool:
    """Whether both have the same images and classes, and the same corners within so many pixels."""
    if left.keys() != right.keys():
        return False
    for name, boxes in left.items():
        others = right[name]
        if [box[0] for box in boxes] != [box[0] for box in others]:
            return False
        edges = zip(
            (edge for box in boxes for edge in box[1:]), (edge for box in others for edge in box[1:]), strict=True
        )
        if any(abs(first - second) > within for first, second in edges):
            return False
    return True


FOREIGN_TABLES = (
    "table.csv",
    "table.tsv",
    "rows.txt",
    "stems.txt",
    "via.json",
    "createml.json",
    "dlib.xml",
    "x.ndjson",
)
FOREIGN_OF_ONE = ("supervisely", "dota", "visdrone", "page", "own json")


def foreign_files(kind: str, stems: Iterable[str]) -> Files:
    """Annotations of images `<stem>.jpg` in a form that no reader reads: one file, or one for each image."""
    of_one: dict[str, tuple[str, bytes]] = {
        "supervisely": (
            "ann/{}.jpg.json",
            b'{"objects": [{"classTitle": "a", "points": {"exterior": [[5, 5], [30, 30]]}}]}',
        ),
        "dota": ("labelTxt/{}.txt", b"gsd:0.1\n10 10 40 12 38 40 8 38 plane 0\n20 20 40 22 38 40 8 38 ship 1\n"),
        "visdrone": ("annos/{}.txt", b"10,12,30,20,1,4,0,0\n"),
        "page": ("page/{}.xml", b"<PcGts><Page><TextRegion><Coords points='1,2 3,4 5,6'/></TextRegion></Page></PcGts>"),
        "own json": ("js/{}.json", b'{"objects": [{"label": "a", "bbox": [1, 2, 3, 4]}]}'),
    }
    if kind in of_one:
        name, content = of_one[kind]
        return {name.format(stem): content for stem in stems}
    return {kind: _foreign_table(kind, list(enumerate(stems))).encode()}


def _foreign_table(kind: str, stems: list[tuple[int, str]]) -> str:
    box = {"x": 5, "y": 6, "width": 30, "height": 20}
    match kind:
        case "table.csv":
            return "\n".join(["file,diagnosis", *(f"{stem}.jpg,{('well', 'sick')[at % 2]}" for at, stem in stems)])
        case "table.tsv":
            return "\n".join(["file\tgrade", *(f"{stem}.jpg\t{at * 7 % 3}" for at, stem in stems)])
        case "rows.txt":
            return "\n".join(f"{stem}.jpg {10 + at} 12 40 50 a" for at, stem in stems)
        case "stems.txt":
            return "\n".join(f"{stem} {at * 7 % 3}" for at, stem in stems)
        case "via.json":
            regions = [{"shape_attributes": {"name": "rect", **box}, "region_attributes": {"class": "a"}}]
            return json.dumps({f"{stem}.jpg9": {"filename": f"{stem}.jpg", "regions": regions} for _, stem in stems})
        case "createml.json":
            found = [{"label": "a", "coordinates": box}]
            return json.dumps([{"image": f"{stem}.jpg", "annotations": found} for _, stem in stems])
        case "dlib.xml":
            boxes = "<box top='1' left='2' width='9' height='9'><label>a</label></box>"
            lines = (f"<image file='{stem}.jpg'>{boxes}</image>" for _, stem in stems)
            return f"<dataset><images>{''.join(lines)}</images></dataset>"
        case "x.ndjson":
            objects = [{"name": "a", "bounding_box": box}]
            return "\n".join(json.dumps({"external_id": f"{stem}.jpg", "objects": objects}) for _, stem in stems)
    raise AssertionError(kind)
