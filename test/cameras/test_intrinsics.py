"""Camera calibration files, and the ideal camera against projections worked out otherwise."""

import mujoco
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.cameras.intrinsics import IntrinsicsError, pinhole, read_intrinsics, uncalibrated

CALIBRATION = """\
image_width: 640
image_height: 480
camera_name: table
camera_matrix:
  rows: 3
  cols: 3
  data: [600.5, 0, 319.0, 0, 601.0, 241.0, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.001, 0.002, 0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [590.0, 0, 320.0, 0, 0, 595.0, 240.0, 0, 0, 0, 1, 0]
"""


def write(tmp_path, **changes):
    content = yaml.safe_load(CALIBRATION) | changes
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in content.items() if value is not None}))
    return path


def test_a_calibration_file_is_read_value_for_value(tmp_path):
    path = tmp_path / "table.yaml"
    path.write_text(CALIBRATION)
    camera = read_intrinsics(path)
    assert (camera.width, camera.height, camera.distortion_model) == (640, 480, "plumb_bob")
    assert camera.distortion == (0.1, -0.2, 0.001, 0.002, 0)
    assert camera.camera_matrix == (600.5, 0, 319, 0, 601, 241, 0, 0, 1)
    assert camera.rectification == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert camera.projection == (590, 0, 320, 0, 0, 595, 240, 0, 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_width": None}, "image_width is None; it must be a whole number of pixels above 0"),
        ({"image_height": -480}, "image_height is -480"),
        ({"image_height": "480"}, "image_height is '480'"),
        ({"distortion_model": "fisheye"}, "distortion_model is 'fisheye'; it must be one of plumb_bob, rational"),
        ({"camera_matrix": {"data": [1, 2, 3]}}, r"camera_matrix has data \[1, 2, 3\]; it needs 9 numbers"),
        ({"camera_matrix": None}, "camera_matrix has data None; it needs 9 numbers"),
        ({"projection_matrix": {"data": ["a"] * 12}}, "projection_matrix has data .* it needs 12 numbers"),
        ({"rectification_matrix": {"data": [float("nan")] * 9}}, "rectification_matrix has data"),
        ({"distortion_coefficients": {"data": [0.1]}}, r"distortion_coefficients has data \[0.1\]; it needs 5"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(IntrinsicsError, match=message) as error:
        read_intrinsics(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(IntrinsicsError, match="There is no camera calibration"):
        read_intrinsics(tmp_path / "none.yaml")
    with pytest.raises(IntrinsicsError, match="cannot be read: Is a directory"):
        read_intrinsics(tmp_path)
    path = tmp_path / "a.yaml"
    for content, message in ((b"a: [1", "is not YAML"), (b"\xff\xfe\x00\x01", "is not YAML"), (b"- 1", "no mapping")):
        path.write_bytes(content)
        with pytest.raises(IntrinsicsError, match=message):
            read_intrinsics(path)


@given(st.integers(2, 2000), st.integers(2, 2000), st.floats(10, 150))
def test_the_field_of_view_ends_at_the_edges_of_the_image(width, height, fovy):
    """Rays half the field of view up and down meet the outer edges of the first and last row, whose centers are at
    0 and height - 1."""
    camera = pinhole(width, height, fovy)
    matrix = np.array(camera.camera_matrix).reshape(3, 3)
    half = np.tan(np.radians(fovy / 2))
    for y, row in ((-half, -0.5), (half, height - 0.5)):
        u, v, w = matrix @ [0.0, y, 1.0]
        assert v / w == pytest.approx(row, abs=1e-6)
        assert u / w == pytest.approx((width - 1) / 2)
    projection = np.array(camera.projection).reshape(3, 4)
    np.testing.assert_array_equal(projection, np.column_stack([matrix, np.zeros(3)]))
    assert camera.camera_matrix[0] == camera.camera_matrix[4]


@pytest.mark.parametrize("point", [(0.0, 0.0), (0.25, 0.0), (-0.4, 0.3), (0.1, -0.35)])
def test_a_drawn_ball_is_where_the_ideal_camera_sees_it(point):
    """MuJoCo draws a small ball; the middle of its pixels is the projection of its center (camera: x right, y down)."""
    x, y = point
    model = mujoco.MjModel.from_xml_string(f"""
        <mujoco><worldbody>
          <camera name="camera" fovy="52"/>
          <geom type="sphere" size=".02" pos="{x} {-y} -1" rgba="1 1 1 1"/>
          <light pos="0 0 0" dir="0 0 -1"/>
        </worldbody></mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = mujoco.Renderer(model, 240, 320)
    try:
        renderer.update_scene(data, camera="camera")
        renderer.enable_segmentation_rendering()
        rows, columns = np.nonzero(renderer.render()[:, :, 0] == 0)
    finally:
        renderer.close()
    assert len(rows) > 30
    u, v, w = np.array(pinhole(320, 240, 52).camera_matrix).reshape(3, 3) @ [x, y, 1.0]
    assert (columns.mean(), rows.mean()) == pytest.approx((u / w, v / w), abs=0.25)


def test_an_uncalibrated_camera_says_so_by_zeros():
    camera = uncalibrated(320, 240)
    assert (camera.width, camera.height) == (320, 240)
    assert camera.camera_matrix[0] == 0
